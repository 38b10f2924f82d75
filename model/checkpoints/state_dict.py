"""Read a state dict in memory as if it were a checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from model.checkpoints.reader import Checkpoint
from model.checkpoints.tensor_files import PickledFile

_NAME = Path("state_dict")


class StateDictCheckpoint(Checkpoint):
    """The tensors of a state dict; each rank slices the full tensors.

    Raises CheckpointError: a tensor is there with and without the prefix `roberta.`.
    """

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        self.directory = _NAME
        self._open_files = {_NAME: _StateDictFile(state_dict)}
        self._used = set()
        self._files = self._by_canonical_name(dict.fromkeys(state_dict, _NAME))


class _StateDictFile(PickledFile):
    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        self._tensors = dict(state_dict)

"""Read the tensors of a checkpoint in Hugging Face layout, each rank its own slices."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.checkpoints.errors import CheckpointError
from model.checkpoints.index_file import read_index
from model.checkpoints.tensor_files import TensorFile, open_tensor_file
from model.checkpoints.weight_files import find_weights

if TYPE_CHECKING:
    from torch import Tensor

    from model.parallel.shard import Shard

__all__ = ["Checkpoint", "CheckpointError", "canonical", "stored_name"]

# Buffers without weights that some versions of Transformers wrote.
_BUFFERS = re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")


class Checkpoint:
    """The tensors of a directory with `model.safetensors` or `pytorch_model.bin`, or a sharded index of either.

    Names are compared without the prefix `roberta.`, so that a trunk can be loaded from a task model's files and
    the other way round. `weight_files` says which files are read and which are ignored; `unused` names the tensors
    that were not read.

    Raises CheckpointError: no weights, a damaged file, or an index that names a path outside the directory.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.weight_files = find_weights(self.directory)
        self._open_files: dict[Path, TensorFile] = {}
        self._used: set[str] = set()
        self._files = self._by_canonical_name(self._locate())

    def _by_canonical_name(self, located: dict[str, Path]) -> dict[str, tuple[str, Path]]:
        """Map the name without prefix to the stored name and the file of each tensor."""
        files: dict[str, tuple[str, Path]] = {}
        for name, file in located.items():
            if canonical(name) in files:
                raise CheckpointError(f"{self.directory} holds both {files[canonical(name)][0]} and {name}")
            files[canonical(name)] = (name, file)
        return files

    def _locate(self) -> dict[str, Path]:
        """Map the stored name of each tensor to the file that holds it."""
        path = self.weight_files.path
        if self.weight_files.is_index:
            return self._read_index(path)
        return dict.fromkeys(self._open(path).names, path)

    def _read_index(self, index: Path) -> dict[str, Path]:
        entries = read_index(index)
        for file in sorted(set(entries.values())):
            if not (self.directory / file).is_file():
                raise CheckpointError(f"{index} names {file}, which is not there; download it again")
        stored = {file: set(self._open(self.directory / file).names) for file in set(entries.values())}
        for name, file in entries.items():
            if name not in stored[file]:
                raise CheckpointError(f"{index} places tensor {name} in {file}, which does not hold it")
        return {name: self.directory / file for name, file in entries.items()}

    def __contains__(self, name: str) -> bool:
        return canonical(name) in self._files

    @property
    def files(self) -> list[Path]:
        """The files that hold tensors."""
        return sorted({file for _, file in self._files.values()})

    @property
    def unused(self) -> list[str]:
        """Stored names of tensors that were not read; buffers without weights are left out."""
        names = (stored for name, (stored, _) in self._files.items() if name not in self._used)
        return sorted(name for name in names if not _BUFFERS.search(name))

    def mark_used(self, names: Iterable[str]) -> None:
        """Count these tensors as read, since they are other names of a tensor that was read."""
        self._used.update(canonical(name) for name in names)

    def leave_out(self, names: Iterable[str]) -> None:
        """Ignore these tensors from here on: they are neither found nor reported as unused."""
        for name in names:
            del self._files[canonical(name)]

    @property
    def names(self) -> list[str]:
        """Stored names of all tensors; buffers without weights are left out."""
        return [stored for stored, _ in self._files.values() if not _BUFFERS.search(stored)]

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        stored_name, file = self._files[canonical(name)]
        return self._open(file).shape(stored_name)

    def dtype(self, name: str) -> str:
        """Stored dtype of a tensor, as "float32"."""
        stored_name, file = self._files[canonical(name)]
        return self._open(file).dtype(stored_name)

    def location(self, name: str) -> tuple[str, Path]:
        """Stored name of a tensor, and its file."""
        return self._files[canonical(name)]

    def require_shape(self, name: str, full_shape: Sequence[int]) -> None:
        """Raise CheckpointError if a tensor is stored with another shape."""
        stored_name, file = self.location(name)
        found = self.shape(name)
        if found != list(full_shape):
            raise CheckpointError(f"{file}: tensor {stored_name} must be {list(full_shape)}, found {found}")

    def read(self, name: str, shard: "Shard | None" = None) -> "Tensor":
        """One tensor, or this rank's slice of it, in the stored dtype; a view of the mapped file."""
        stored_name, file = self._files[canonical(name)]
        self._used.add(canonical(name))
        return self._open(file).read(stored_name, shard)

    def bits(self, name: str) -> NDArray[np.unsignedinteger]:
        """The bits of one tensor, `[number of elements]`, in the order of the file; a view of the mapped file."""
        stored_name, file = self._files[canonical(name)]
        return self._open(file).bits(stored_name)

    def _open(self, file: Path) -> TensorFile:
        if file not in self._open_files:
            self._open_files[file] = open_tensor_file(file)
        return self._open_files[file]


def stored_name(names: Iterable[str], checkpoint: Checkpoint) -> str | None:
    """The name to read a parameter under that may be stored under several, or None if it is under none.

    The bias of the LM head is read under the name that Transformers reads it under, where both are there.
    """
    found = [name for name in names if name in checkpoint]
    return next((name for name in found if name == "lm_head.decoder.bias"), found[0] if found else None)


def canonical(name: str) -> str:
    """A tensor's name without the prefix that task models put before the trunk's."""
    return name.removeprefix("roberta.")

"""What the heads of a batch read of its layers: one `LayerReader` for each of their reads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import XLMRobertaXLModel
from model.inference.layer_reader import LayerReader
from model.layers.layer_mix import LayerMix
from model.layers.layer_reads import LayerRead
from pipeline.batching.batch_pieces import sequence_of_entries
from pipeline.heads.modules import HeadModules
from pipeline.heads.resolve import Head
from pipeline.replica.device_transfer import DeviceTransfer
from pipeline.tasks.requests import HeadRequest


@dataclass(frozen=True)
class BatchReads:
    """The readers of one head for a batch, by the names of its reads.

    `sequence`: for a request of tokens, the row of each in what is read of sequences; int64 `[N]`.
    """

    readers: Mapping[str, LayerReader]
    sequence: Tensor | None = None

    @property
    def rows(self) -> dict[str, Tensor]:
        """What was read, once the batch has passed."""
        return {name: reader.rows for name, reader in self.readers.items()}


def num_layers_read(heads: Collection[BatchReads]) -> int | None:
    """How many layers the heads of a batch need; None for all, as any head without reads needs the last states."""
    if not all(head.readers for head in heads):
        return None
    return max((reader.num_layers for head in heads for reader in head.readers.values()), default=None)


class HeadReads:
    """The reads of one head, with the weights of its mixes.

    Args:
        modules: of the head, loaded.
    """

    def __init__(self, head: Head, modules: HeadModules) -> None:
        self._reads = head.task.reads(head.options, head.config)
        # Once, as it synchronizes a GPU.
        self._coefficients = {name: _coefficients(read, modules) for name, read in self._reads.items()}

    def of_batch(
        self, request: HeadRequest, lengths: NDArray[np.int32], trunk: XLMRobertaXLModel, copies: DeviceTransfer
    ) -> BatchReads:
        """The readers for a batch of sequences of these lengths."""
        if not self._reads:
            return BatchReads({})
        are_tokens = {read.pooling == "token" for read in self._reads.values()}
        assert request.of_tokens or are_tokens == {False}, "states of tokens are read where tokens are requested"
        tokens = sequences = request.index.astype(np.int64)
        row = None
        if request.of_tokens:
            of_token = sequence_of_entries(request, lengths.astype(np.int64))
            sequences, row = np.unique(of_token, return_inverse=True)
        on_device = {
            is_token: copies.to_device(torch.from_numpy(tokens if is_token else sequences))
            for is_token in are_tokens
        }
        readers = {
            name: LayerReader(
                read,
                on_device[read.pooling == "token"],
                self._coefficients[name],
                hidden_size=trunk.config.hidden_size,
                dtype=trunk.dtype,
            )
            for name, read in self._reads.items()
        }
        return BatchReads(readers, None if row is None else copies.to_device(torch.from_numpy(row)))


def _coefficients(read: LayerRead, modules: HeadModules) -> tuple[float, ...]:
    if read.mix is None:
        return (1.0,)
    mix = modules[read.mix]
    assert isinstance(mix, LayerMix)
    return mix.coefficients()

"""Requests of heads to a batch: for which sequences or tokens they need results, and where these belong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays.ragged import ranges
from pipeline.arrays.windows import WindowArrays


@dataclass(frozen=True)
class HeadRequest:
    """What a head computes on a batch.

    Attributes:
        index: int32 `[n]`, ascending, sequences of the batch, or token positions in it if `of_tokens`.
        labels: int32 `[n]`, the tokens to predict there, for a loss.
    """

    index: NDArray[np.int32]
    labels: NDArray[np.int32] | None = None
    of_tokens: bool = False


@dataclass(frozen=True)
class Places:
    """Where results belong: sequences of the fragment, and token positions in them, int64 `[n]`."""

    sequence: NDArray[np.int64]
    position: NDArray[np.int64]

    def without(self, sequences: Sequence[int]) -> "Places":
        """The places that are not in these sequences."""
        if not sequences:
            return self
        kept = ~np.isin(self.sequence, sequences)
        return Places(self.sequence[kept], self.position[kept])


@dataclass(frozen=True)
class HeadSequences:
    """The sequences of a batch that a head reads, and the tokens of the whole batch.

    Attributes:
        sequence, number: int64 `[n]`, index of the sequence in the fragment, and in the batch.
        begin, length: int64 `[n]`, its first token in the batch, and its number of tokens.
        window: int64 `[n]`, index into `windows`, the windows of all rows of the fragment.
        input_ids: int32 `[num_tokens]`.
        labels: int32 `[num_tokens]`, the tokens to predict, where `is_labelled`.
    """

    sequence: NDArray[np.int64]
    number: NDArray[np.int64]
    begin: NDArray[np.int64]
    length: NDArray[np.int64]
    window: NDArray[np.int64]
    windows: WindowArrays
    input_ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    is_labelled: NDArray[np.bool_]
    mask_id: int

    @property
    def owned_begin(self) -> NDArray[np.int64]:
        """The first token of each sequence that its window owns."""
        return self.windows.owned_begin[self.window]

    @property
    def owned_size(self) -> NDArray[np.int64]:
        """The number of tokens that its window owns."""
        return self.windows.owned_end[self.window] - self.owned_begin


def request_sequences(batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """One result for each sequence."""
    return HeadRequest(batch.number.astype(np.int32)), Places(batch.sequence, np.zeros_like(batch.sequence))


def request_tokens(
    batch: HeadSequences,
    begin: NDArray[np.int64],
    count: NDArray[np.int64],
    *,
    keep: NDArray[np.bool_] | None = None,
    labels: NDArray[np.int32] | None = None,
) -> tuple[HeadRequest, Places]:
    """`count` tokens of each sequence from token `begin` on, restricted to those with `keep`."""
    index = ranges(batch.begin + begin, count)
    sequence, position = np.repeat(batch.sequence, count), ranges(begin, count)
    if keep is not None:
        kept = keep[index]
        index, sequence, position = index[kept], sequence[kept], position[kept]
    request = HeadRequest(index.astype(np.int32), None if labels is None else labels[index], of_tokens=True)
    return request, Places(sequence, position)


def request_owned_tokens(batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """One result for each token of a text, from the window that owns it."""
    return request_tokens(batch, batch.owned_begin, batch.owned_size)

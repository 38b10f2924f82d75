"""What a head asks of a batch: sequences or tokens of them, and where the results belong. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays.ragged import ranges
from pipeline.arrays.windows import WindowArrays


@dataclass(frozen=True)
class HeadRequest:
    """What a head is to compute on a batch.

    Attributes:
        index: int32 `[n]`, sequences of the batch, or token positions in it.
        labels: int32 `[n]`, the tokens to predict there, for a loss.
        of_tokens: the index is of token positions.
    """

    index: NDArray[np.int32]
    labels: NDArray[np.int32] | None = None
    of_tokens: bool = False


@dataclass(frozen=True)
class Places:
    """Where the results of a request belong: int64 `[n]`, sequences of the fragment, tokens in them."""

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
    """The sequences of a batch that a head is to work on, and the batch's tokens.

    Attributes:
        sequence, number: int64 `[n]`, which sequence of the fragment, and of the batch.
        begin, length: int64 `[n]`, its first token in the batch, and how many it has.
        window: int64 `[n]`, which of `windows` it shows.
        windows: of all rows of the fragment.
        input_ids: int32 `[num_tokens]`, of the whole batch, end to end.
        labels: int32 `[num_tokens]`, the tokens to predict there.
        is_labelled: bool `[num_tokens]`, where there is any.
        mask_id: id of `<mask>`.
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
        """First token of each sequence that belongs to this window and no other."""
        return self.windows.owned_begin[self.window]

    @property
    def owned_size(self) -> NDArray[np.int64]:
        """How many tokens belong to this window and no other."""
        return self.windows.owned_end[self.window] - self.owned_begin


def request_sequences(batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """One result a sequence."""
    return HeadRequest(batch.number.astype(np.int32)), Places(batch.sequence, np.zeros_like(batch.sequence))


def request_tokens(
    batch: HeadSequences,
    begin: NDArray[np.int64],
    count: NDArray[np.int64],
    *,
    keep: NDArray[np.bool_] | None = None,
    labels: NDArray[np.int32] | None = None,
) -> tuple[HeadRequest, Places]:
    """`count` tokens of each sequence from token `begin` on; of these the ones that `keep` names."""
    index = ranges(batch.begin + begin, count)
    sequence, position = np.repeat(batch.sequence, count), ranges(begin, count)
    if keep is not None:
        kept = keep[index]
        index, sequence, position = index[kept], sequence[kept], position[kept]
    request = HeadRequest(index.astype(np.int32), None if labels is None else labels[index], of_tokens=True)
    return request, Places(sequence, position)


def request_owned_tokens(batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """One result for each token of a text: from the window that shows most context around it."""
    return request_tokens(batch, batch.owned_begin, batch.owned_size)

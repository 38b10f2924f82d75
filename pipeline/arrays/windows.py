"""Overlapping windows of long texts, and which window owns each token."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.arrays.ragged import Ragged, offsets_of, ranges

_NUMBERS = ("item", "body_begin", "prefix_size", "body_size", "owned_begin", "owned_end")
_LISTS = ("input_ids", "begins", "ends")
WINDOW_TYPE = pa.struct(
    [(name, pa.int32()) for name in _NUMBERS]
    + [("is_last", pa.bool_())]
    + [(name, pa.list_(pa.int32())) for name in _LISTS]
)
"""One sequence. `item` numbers the row's choices or hypotheses. After `prefix_size` tokens come `body_size` tokens
of the item's text, from its token `body_begin` on. This window owns the tokens `owned_begin` to `owned_end` of the
sequence. `is_last`: the text ends here. `begins`, `ends`: character offsets in the text, 0 outside of the body."""


@dataclass(frozen=True)
class Windows:
    """Windows of texts, in order; int64 `[num_windows]` each.

    Attributes:
        text: index of the text.
        begin, end: the tokens of the text in the window.
        owned_begin, owned_end: the tokens that this window, and no other one, owns: it has most context for them.
    """

    text: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    owned_begin: NDArray[np.int64]
    owned_end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.text)

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """The windows where `keep` is true."""
        parts = (self.text, self.begin, self.end, self.owned_begin, self.owned_end)
        return type(self)(*(part[keep] for part in parts))


def cut_windows(lengths: NDArray[np.int64], capacities: NDArray[np.int64], stride: int) -> Windows:
    """Cut texts of `lengths` tokens into windows of at most `capacities` tokens.

    Neighbouring windows overlap by `stride` tokens (at most by half of a window). The last window of a text is
    moved back to be full, so it overlaps more. Each of two windows owns half of their overlap, in which it has
    more context. A text without tokens gets one empty window.
    """
    overlap = np.minimum(stride, capacities // 2)
    step = capacities - overlap
    num_windows = 1 + np.maximum(0, -(-(lengths - capacities) // step))
    text = np.repeat(np.arange(len(lengths), dtype=np.int64), num_windows)
    number = ranges(np.zeros(len(lengths), dtype=np.int64), num_windows)
    begin = np.minimum(number * step[text], np.maximum(0, lengths[text] - capacities[text]))
    end = np.minimum(begin + capacities[text], lengths[text])
    is_first, is_last = number == 0, number == num_windows[text] - 1
    middle = (np.roll(begin, -1) + end) // 2
    owned_end = np.where(is_last, lengths[text], middle)
    owned_begin = np.where(is_first, 0, np.roll(owned_end, 1))
    return Windows(text, begin, end, owned_begin, owned_end)


@dataclass(frozen=True)
class WindowArrays:
    """The windows of one sequence spec in all rows of a fragment, as arrays; see `WINDOW_TYPE`."""

    ids: Ragged
    begins: Ragged
    ends: Ragged
    row: NDArray[np.int64]
    item: NDArray[np.int64]
    body_begin: NDArray[np.int64]
    prefix_size: NDArray[np.int64]
    body_size: NDArray[np.int64]
    owned_begin: NDArray[np.int64]
    owned_end: NDArray[np.int64]
    is_last: NDArray[np.bool_]

    @classmethod
    def from_column(cls, column: pa.ListArray) -> Self:
        """The windows in a column of type `list<WINDOW_TYPE>`."""
        windows = column.flatten()
        numbers = {name: windows.field(name).to_numpy(zero_copy_only=False).astype(np.int64) for name in _NUMBERS}
        ids, begins, ends = (_ragged(windows.field(name)) for name in _LISTS)
        row = pc.list_parent_indices(column).to_numpy().astype(np.int64)
        is_last = windows.field("is_last").to_numpy(zero_copy_only=False)
        return cls(ids, begins, ends, row, is_last=is_last, **numbers)

    def __len__(self) -> int:
        return len(self.row)


def _ragged(lists: pa.ListArray) -> Ragged:
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return Ragged(lists.flatten().to_numpy(), offsets_of(lengths))

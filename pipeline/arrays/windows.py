"""Long texts in windows that overlap, and which window each token belongs to. Pure functions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.arrays.ragged import Ragged, offsets_of, ranges

_IDS = pa.list_(pa.int32())
WINDOW_TYPE = pa.struct(
    [
        pa.field("item", pa.int32()),
        pa.field("body_begin", pa.int32()),
        pa.field("prefix_size", pa.int32()),
        pa.field("body_size", pa.int32()),
        pa.field("owned_begin", pa.int32()),
        pa.field("owned_end", pa.int32()),
        pa.field("is_last", pa.bool_()),
        pa.field("input_ids", _IDS),
        pa.field("begins", _IDS),
        pa.field("ends", _IDS),
    ]
)
"""One sequence. `item` counts the row's choices or hypotheses. Behind `prefix_size` tokens come `body_size` tokens
of the item's text, from its token `body_begin` on; the tokens `owned_begin` to `owned_end` of the sequence are
those that belong to this window and no other; `is_last`: the text ends here. `begins`, `ends`: where each token of
the sequence stands in the text, 0 for tokens that are not of the body."""


@dataclass(frozen=True)
class Windows:
    """Slices of texts, text by text and in order; int64 `[num_windows]` each.

    Attributes:
        text: which text.
        begin, end: the tokens of the text that the window shows.
        owned_begin, owned_end: those for which no other window shows more context; each token of a text is
            owned by one of its windows.
    """

    text: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    owned_begin: NDArray[np.int64]
    owned_end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.text)

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """Some of the windows."""
        parts = (self.text, self.begin, self.end, self.owned_begin, self.owned_end)
        return type(self)(*(part[keep] for part in parts))


def cut_windows(lengths: NDArray[np.int64], capacities: NDArray[np.int64], stride: int) -> Windows:
    """Cut texts of `lengths` tokens into windows of at most `capacities` tokens.

    Neighbours overlap by `stride` tokens (by half of a window at most); the last window of a text is moved back
    to be full, so that it overlaps more. A token in an overlap is owned by the window in which it is farther from
    an inner border: the overlap is shared at its middle. A text without tokens gets one empty window.
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
    """The windows of one sequence spec, over all rows of a fragment; see `WINDOW_TYPE`.

    Attributes:
        ids, begins, ends: a row each window.
        row, item, body_begin, prefix_size, body_size, owned_begin, owned_end: int64 `[windows]`.
        is_last: bool `[windows]`, the end of its text.
    """

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
        """Read an internal column of windows."""
        windows = column.flatten()
        numbers = {
            name: windows.field(name).to_numpy(zero_copy_only=False).astype(np.int64)
            for name in ("item", "body_begin", "prefix_size", "body_size", "owned_begin", "owned_end")
        }
        ids, begins, ends = (_ragged(windows.field(name)) for name in ("input_ids", "begins", "ends"))
        row = pc.list_parent_indices(column).to_numpy().astype(np.int64)
        is_last = windows.field("is_last").to_numpy(zero_copy_only=False)
        return cls(ids, begins, ends, row, is_last=is_last, **numbers)

    def __len__(self) -> int:
        return len(self.row)


def _ragged(lists: pa.ListArray) -> Ragged:
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return Ragged(lists.flatten().to_numpy(), offsets_of(lengths))

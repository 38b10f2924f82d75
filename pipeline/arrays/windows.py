"""Long texts in windows that overlap, and which window each token belongs to. Pure functions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.special_tokens import MASK_TOKEN
from pipeline.arrays.ragged import ranges

# White space to Python, but nothing at all to the tokenizer: a cut there would make two words of one.
_DROPPED = frozenset("\x0b\x1c\x1d\x1e\x1f\x85")


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


def pieces_of_text(text: str, max_chars: int) -> list[int]:
    """Where to cut a long text before it is tokenized: offsets that begin with 0 and end with its length.

    Cuts fall before white space where there is any in the last tenth of a piece: the tokenizer marks the
    beginning of a piece as it marks white space, so that the tokens stay those of the whole text. Elsewhere they
    keep out of `<mask>`.
    """
    cuts = [0]
    while len(text) - cuts[-1] > max_chars:
        limit = cuts[-1] + max_chars
        last_tenth = range(limit, limit - max_chars // 10, -1)
        cuts.append(next((i for i in last_tenth if _is_blank(text[i])), _before_mask(text, limit)))
    return [*cuts, len(text)]


def _is_blank(char: str) -> bool:
    return char.isspace() and char not in _DROPPED


def _before_mask(text: str, offset: int) -> int:
    """The offset, or the beginning of the `<mask>` that it would cut."""
    begin = text.find(MASK_TOKEN, max(0, offset - len(MASK_TOKEN) + 1), offset + len(MASK_TOKEN) - 1)
    return offset if begin == -1 else begin

"""Ragged arrays: rows of different lengths end to end, and index arithmetic on them without a Python loop."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """int32 rows end to end: row i is `values[offsets[i]:offsets[i + 1]]`; offsets int64 `[rows + 1]`."""

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row."""
        return np.diff(self.offsets)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each row begins."""
        return self.offsets[:-1]

    @classmethod
    def repeated(cls, row: list[int], count: int) -> Self:
        """The same row `count` times."""
        return cls(np.tile(np.array(row, dtype=np.int32), count), np.arange(count + 1, dtype=np.int64) * len(row))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of rows of these lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """`start, start + 1, …` of each row, `length` of them, end to end."""
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)


def concat_rows(*parts: Ragged) -> Ragged:
    """Row i of every part end to end; all parts have the same number of rows."""
    offsets = offsets_of(np.sum([part.lengths for part in parts], axis=0))
    values = np.empty(int(offsets[-1]), dtype=np.int32)
    at = offsets[:-1]
    for part in parts:
        values[ranges(at, part.lengths)] = part.values[ranges(part.starts, part.lengths)]
        at = at + part.lengths
    return Ragged(values, offsets)


def cut(rows: Ragged, index: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> Ragged:
    """Elements `begin:end` of the rows that `index` names."""
    lengths = end - begin
    return Ragged(rows.values[ranges(rows.starts[index] + begin, lengths)], offsets_of(lengths))

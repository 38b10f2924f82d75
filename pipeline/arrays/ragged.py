"""Ragged arrays: rows (segments) of different lengths end to end, computed on without Python loops.

Offsets are int64 `[rows + 1]`; row i is `values[offsets[i]:offsets[i + 1]]` and may be empty.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Ragged:
    """Rows of int32 values."""

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
        """The begin of each row."""
        return self.offsets[:-1]

    @classmethod
    def repeated(cls, row: list[int], count: int) -> Self:
        """The same row `count` times."""
        return cls(np.tile(np.array(row, dtype=np.int32), count), np.arange(count + 1, dtype=np.int64) * len(row))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The offsets of rows of these lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The concatenation of `range(start, start + length)` over all pairs."""
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)


def concat_rows(*parts: Ragged) -> Ragged:
    """Concatenate row i of every part, for each i; all parts have the same number of rows."""
    offsets = offsets_of(np.sum([part.lengths for part in parts], axis=0))
    values = np.empty(int(offsets[-1]), dtype=np.int32)
    at = offsets[:-1]
    for part in parts:
        values[ranges(at, part.lengths)] = part.values[ranges(part.starts, part.lengths)]
        at = at + part.lengths
    return Ragged(values, offsets)


def cut(rows: Ragged, index: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> Ragged:
    """Elements `begin:end` of the rows at `index`."""
    lengths = end - begin
    return Ragged(rows.values[ranges(rows.starts[index] + begin, lengths)], offsets_of(lengths))


def softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Softmax over the last axis of `[n, k]`, in float64."""
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def segment_softmax(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Softmax `[n]` within each segment, in float64."""
    starts, lengths = _present(offsets)
    maxima = np.maximum.reduceat(values, starts).astype(np.float64)
    exp = np.exp(values.astype(np.float64) - np.repeat(maxima, lengths))
    return np.asarray(exp / np.repeat(np.add.reduceat(exp, starts), lengths))


def segment_argmax(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index into `values` of the first maximum of each segment that is not empty."""
    starts, _ = _present(offsets)
    return descending(values, offsets)[starts]


def descending(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order `[n]` that sorts each segment in descending order, stably."""
    return np.lexsort((-values, segment_of(offsets)))


def segment_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The segment of each value, int64 `[n]`."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def list_column(values: pa.Array, offsets: NDArray[np.int64]) -> pa.ListArray:
    """The segments of `values` as lists."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _present(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the segments that are not empty, as `reduceat` cannot handle empty ones."""
    lengths = np.diff(offsets)
    return offsets[:-1][lengths > 0], lengths[lengths > 0]

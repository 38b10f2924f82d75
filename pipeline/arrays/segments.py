"""Ragged arrays: the values of all segments end to end, and the offsets between them. Pure functions.

Offsets are int64 `[m + 1]`; segment i is `values[offsets[i]:offsets[i + 1]]` and may be empty.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]


def softmax(logits: FloatArray) -> NDArray[np.float64]:
    """Probabilities `[n, k]` of each row, in float64."""
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def segment_softmax(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Softmax `[n]` within each segment, in float64."""
    starts, lengths = _present(offsets)
    maxima = np.maximum.reduceat(values, starts).astype(np.float64)
    exp = np.exp(values.astype(np.float64) - np.repeat(maxima, lengths))
    return np.asarray(exp / np.repeat(np.add.reduceat(exp, starts), lengths))


def segment_argmax(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index into `values` of the first largest value of each segment that is not empty."""
    starts, _ = _present(offsets)
    return descending(values, offsets)[starts]


def descending(values: FloatArray, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order `[n]` that sorts each segment, the largest value first; equal values stay in order."""
    return np.lexsort((-values, segment_of(offsets)))


def segment_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which segment each value is in, int64 `[n]`."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def list_column(values: pa.Array, offsets: NDArray[np.int64]) -> pa.ListArray:
    """One list a segment."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _present(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the segments that are not empty: `reduceat` knows no empty ones."""
    lengths = np.diff(offsets)
    return offsets[:-1][lengths > 0], lengths[lengths > 0]

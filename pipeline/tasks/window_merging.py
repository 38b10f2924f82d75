"""Merge the results of a text's windows into one value: weighted means and maxima."""

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.contract import OrderedHeadOutput

# Columns converted to float64 at once, so that the copies stay in the processor's cache.
COLUMN_BLOCK = 16
MANTISSA_BITS = 52


def weighted_mean(
    values: NDArray[np.float32], row: NDArray[np.int32], weight: NDArray[np.int32], num_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Mean over the windows of each row, weighted by the number of tokens that each window owns.

    The result does not depend on the order of the windows or on other rows, to the last bit. The value of a row
    with a single window is returned unchanged.

    Args:
        values: float32 `[n, d]`, logits or vectors of n windows in any order.
        row: int32 `[n]`, below `num_rows`.
        weight: int32 `[n]`; not all 0 in a row of several windows.

    Returns:
        float32 `[m, d]` and the rows that have any window, int32 `[m]`, ascending.
    """
    count = np.bincount(row, minlength=num_rows)
    present = np.flatnonzero(count)
    order = np.argsort(row, kind="stable")
    starts = np.cumsum(count[present]) - count[present]
    means = values[order[starts]]

    is_merged = count[present] > 1
    if is_merged.any():
        windows = order[np.repeat(is_merged, count[present])]
        means[is_merged] = _means(values, windows, weight[windows], count[present][is_merged])
    return means, present.astype(np.int32)


def _means(
    values: NDArray[np.float32], windows: NDArray[np.int64], weight: NDArray[np.int32], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Weighted means of segments of `values[windows]`, of `lengths` windows each."""
    starts = np.cumsum(lengths) - lengths
    total = np.add.reduceat(weight.astype(np.int64), starts)
    assert (total > 0).all(), "the windows of a row own its tokens"
    means = np.empty((len(lengths), values.shape[1]), dtype=np.float32)
    for begin in range(0, values.shape[1], COLUMN_BLOCK):
        columns = slice(begin, begin + COLUMN_BLOCK)
        weighted = values[windows, columns].astype(np.float64) * weight[:, None]
        means[:, columns] = _exact_sums(weighted, starts, lengths) / total[:, None]
    return means


def _exact_sums(
    values: NDArray[np.float64], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sums over segments of the first axis that do not depend on the order of the summands.

    The summands are first rounded to a common grid, on which sums are exact; 52 - log2(windows) bits below the
    largest summand remain (reproducible summation by pre-rounding: Demmel and Nguyen, "Fast Reproducible
    Floating-Point Summation", 2013).
    """
    largest = np.maximum.reduceat(np.abs(values), starts)
    headroom = np.ceil(np.log2(lengths)).astype(np.int64)[:, None]
    exponent = np.frexp(largest)[1] + headroom - MANTISSA_BITS
    # Multiplying by powers of 2 is exact.
    steps = np.rint(values * np.repeat(np.ldexp(1.0, -exponent), lengths, axis=0))
    return np.asarray(np.add.reduceat(steps, starts) * np.ldexp(1.0, exponent))


def window_maximum(
    values: NDArray[np.float32], row: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Maximum over the windows of each row, as max pooling of the whole text; see `weighted_mean`."""
    order = np.argsort(row, kind="stable")
    present, starts = np.unique(row[order], return_index=True)
    return np.maximum.reduceat(values[order], starts, axis=0), present.astype(np.int32)


def row_means(output: OrderedHeadOutput) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Mean over the windows of each row, and the rows that have any."""
    return weighted_mean(output.floats, output.row.astype(np.int32), output.weight, output.num_rows)


def row_maxima(output: OrderedHeadOutput) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Maximum over the windows of each row, and the rows that have any."""
    return window_maximum(output.floats, output.row.astype(np.int32))


def item_means(output: OrderedHeadOutput) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean over the windows of each item of a row (choice or hypothesis), and the row of each item."""
    row, item = output.row, output.windows.item[output.window]
    begins = np.ones(len(row), dtype=bool)
    begins[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1])
    number = np.cumsum(begins) - 1
    means, _ = weighted_mean(output.floats, number.astype(np.int32), output.weight, int(number[-1]) + 1)
    return means, row[begins]

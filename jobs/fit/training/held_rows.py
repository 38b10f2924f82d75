"""Standardised rows of one layer, or of a mix of layers, held for many passes: in memory, or in a scratch file."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.fit.feature_blocks import Features, RowNumbers
from jobs.fit.fitted_head import Floats
from jobs.fit.training.scaling import Scaling

_NUMBERS_AT_A_TIME = 512 * 2560
"""Numbers that are taken to fp64 together: 10 MiB, which stay in the cache."""


@dataclass(frozen=True)
class View:
    """What a head reads: one layer, or `sum_i factors[i] * layers[i]`, with float64 `factors` `[len(layers)]`.

    `weights` says to people how much of the mix each layer is: they add up to 1, free of the layers' scales.
    """

    layers: tuple[int, ...]
    factors: Floats | None = None
    weights: Floats | None = None


@dataclass(frozen=True)
class HeldRows:
    """Standardised rows: float32 `[N, size]`."""

    values: NDArray[np.float32]

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """All rows in fp64, a few at a time, and which ones they are."""
        num_rows = max(1, _NUMBERS_AT_A_TIME // self.values.shape[1])
        for start in range(0, len(self.values), num_rows):
            rows = slice(start, min(start + num_rows, len(self.values)))
            yield rows, self.values[rows].astype(np.float64)

    def sampled(self, max_rows: int) -> "HeldRows":
        """At most so many rows, evenly spaced."""
        return HeldRows(self.values[:: -(-len(self.values) // max_rows)])


def view_blocks(features: Features, view: View, rows: RowNumbers) -> Iterator[NDArray[np.floating]]:
    """The rows of a view in blocks `[n, size]`: float32 of one layer, float64 of a mix."""
    if view.factors is None:
        yield from features.blocks(view.layers[0], rows)
        return
    for blocks in zip(*(features.blocks(layer, rows) for layer in view.layers), strict=True):
        mixed = view.factors[0] * blocks[0].astype(np.float64)
        for factor, block in zip(view.factors[1:], blocks[1:], strict=True):
            mixed += factor * block
        yield mixed


def hold_rows(
    features: Features,
    view: View,
    scaling: Scaling,
    rows: RowNumbers,
    max_bytes: int,
    scratch: Path | None = None,
) -> HeldRows:
    """Read and standardise rows.

    More than `max_bytes` go to a file without a name in `scratch`, mapped into memory: the system keeps as much of
    it there as it has room for.
    """
    shape = (len(rows), features.size)
    if 4 * shape[0] * shape[1] <= max_bytes:
        values: NDArray[np.float32] = np.empty(shape, dtype=np.float32)
    else:
        with tempfile.TemporaryFile(dir=scratch) as file:
            values = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
    start = 0
    for block in view_blocks(features, view, rows):
        scaling.write(block, values[start : start + len(block)])
        start += len(block)
    return HeldRows(values)


def gram_matrix(blocks: Sequence[Floats] | Iterator[Floats], size: int) -> Floats:
    """The mean over rows of `x x^T`: `[size, size]`."""
    gram, num_rows = np.zeros((size, size)), 0
    for block in blocks:
        gram += block.T @ block
        num_rows += len(block)
    return gram / num_rows

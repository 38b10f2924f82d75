"""Mean and scale of each dimension of a layer, taken in blocks, and folding them into weights."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.fit.fitted_head import Floats

_RELATIVE_ROUNDING = 1e-6
_NUMBERS_AT_A_TIME = 2**16
"""In fp64 they take half a MiB, and stay in the cache."""


@dataclass(frozen=True)
class Scaling:
    """Standardisation `(x - mean) * inverse` of each dimension, both float64 `[size]`.

    `inverse` is 1 over the standard deviation, and 0 for a dimension that is constant but for rounding: a head
    then takes nothing from it.
    """

    mean: Floats
    inverse: Floats

    def write(self, values: NDArray[np.floating], out: NDArray[np.floating]) -> None:
        """Write the standardised values `[n, size]` to `out`."""
        num_rows = max(1, _NUMBERS_AT_A_TIME // values.shape[1])
        for start in range(0, len(values), num_rows):
            rows = slice(start, start + num_rows)
            out[rows] = (values[rows] - self.mean) * self.inverse

    def folded(self, weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Weight `[K, size]` and bias `[K]` on standardised features, as those on features as they are."""
        plain = weight * self.inverse
        return plain, bias - plain @ self.mean


def scaling_of(blocks: Iterable[NDArray[np.floating]]) -> Scaling:
    """The scaling of the rows in all blocks `[n, size]`, of which there is at least one.

    Sums are of the distance from the first row, so that large means cost no digits.
    """
    num_rows, origin = 0, np.zeros(0)
    sums = squares = np.zeros(0)
    for block in blocks:
        if num_rows == 0:
            origin = block[0].astype(np.float64)
            sums, squares = np.zeros_like(origin), np.zeros_like(origin)
        distances = block - origin
        sums, squares = sums + distances.sum(axis=0), squares + np.einsum("nd,nd->d", distances, distances)
        num_rows += len(block)
    shift = sums / num_rows
    mean = origin + shift
    deviation = np.sqrt(np.maximum(squares / num_rows - shift**2, 0))
    is_constant = deviation <= _RELATIVE_ROUNDING * np.abs(mean)
    return Scaling(mean, np.where(is_constant, 0.0, 1 / np.where(is_constant, 1.0, deviation)))

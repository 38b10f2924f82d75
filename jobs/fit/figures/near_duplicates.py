"""Rows of other parts that are nearly equal to rows that were fitted on: figures on them flatter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.fit.feature_blocks import RowNumbers

_NUM_PROJECTIONS = 128
_SLACK = 3.0
"""Projected distances of near rows may be this many times as long (random projections: by 1.3 at the most)."""
_BLOCK_ROWS = 2048
_MAX_EXAMPLES = 10

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class NearDuplicates:
    """How many rows of a part, of those that were compared, have a near duplicate among the rows fitted on.

    `examples` are the nearest ones: the row, the row fitted on, and their cosine.
    """

    num_rows: int
    num_found: int
    examples: tuple[tuple[int, int, float], ...]


def near_duplicates(
    fitted: Rows, fit_rows: RowNumbers, others: Rows, other_rows: RowNumbers, min_cosine: float
) -> NearDuplicates:
    """Compare each row with all that were fitted on.

    Both sides are projected to a few random directions first, which keeps near rows near, and the nearest row
    found so is compared in full.

    Args:
        fitted, others: standardised features `[N, size]`; lengths do not matter.
        fit_rows, other_rows: their row numbers.
        min_cosine: of rows that are nearly equal.
    """
    projection = np.random.default_rng(0).normal(size=(fitted.shape[1], _NUM_PROJECTIONS)).astype(np.float32)
    projected = _normalised(_product(fitted, projection))
    # Squared distance of unit vectors is 2 - 2 cosine.
    least = 1 - _SLACK * (1 - min_cosine)
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(others), _BLOCK_ROWS):
        block = others[start : start + _BLOCK_ROWS]
        nearest, cosines = _nearest(projected, _normalised(block @ projection))
        for place in np.flatnonzero(cosines >= least):
            cosine = _cosine(fitted[nearest[place]], block[place])
            if cosine >= min_cosine:
                found.append((int(other_rows[start + place]), int(fit_rows[nearest[place]]), cosine))
    examples = sorted(found, key=lambda pair: (-pair[2], pair[0]))[:_MAX_EXAMPLES]
    return NearDuplicates(len(others), len(found), tuple(examples))


def _product(rows: Rows, projection: Rows) -> Rows:
    blocks = range(0, len(rows), _BLOCK_ROWS)
    return np.concatenate([rows[start : start + _BLOCK_ROWS] @ projection for start in blocks])


def _nearest(rows: Rows, queries: Rows) -> tuple[NDArray[np.int64], Rows]:
    """The place of the row with the greatest product with each query, and that product."""
    places, products = np.zeros(len(queries), dtype=np.int64), np.full(len(queries), -np.inf, dtype=np.float32)
    for start in range(0, len(rows), 4 * _BLOCK_ROWS):
        block = queries @ rows[start : start + 4 * _BLOCK_ROWS].T
        best = block.argmax(axis=1)
        found = block[np.arange(len(queries)), best]
        is_better = found > products
        places[is_better], products[is_better] = best[is_better] + start, found[is_better]
    return places, products


def _normalised(rows: Rows) -> Rows:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), dtype=np.float32)


def _cosine(first: Rows, second: Rows) -> float:
    one, other = first.astype(np.float64), second.astype(np.float64)
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm else 0.0

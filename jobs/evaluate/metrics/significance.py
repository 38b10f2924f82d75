"""Tests of two systems on the same rows. The second is measured against the first: better is positive."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from jobs.evaluate.metrics.bootstrap import interval
from jobs.evaluate.metrics.weighted import Floats


@dataclass(frozen=True)
class Flips:
    """Indices of rows that only the second system has right (won), and that only the first has (lost)."""

    won: list[int]
    lost: list[int]


@dataclass(frozen=True)
class Difference:
    """Second minus first, its 95 % interval, and the two-sided p of no difference."""

    difference: float
    low: float
    high: float
    p_value: float


def flips(first: Sequence[bool] | NDArray[np.bool_], second: Sequence[bool] | NDArray[np.bool_]) -> Flips:
    """Which rows flipped, from what each system has right."""
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    return Flips(np.flatnonzero(~one & other).tolist(), np.flatnonzero(one & ~other).tolist())


def mcnemar(flipped: Flips) -> float:
    """The two-sided p of the exact McNemar test: rows flip one way as likely as the other. 1 where none flipped.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions (1947).
    """
    num_flipped = len(flipped.won) + len(flipped.lost)
    return float(binomtest(len(flipped.won), num_flipped).pvalue) if num_flipped else 1.0


def paired_bootstrap(first: float, second: float, first_resampled: Floats, second_resampled: Floats) -> Difference:
    """The difference of any metric of two systems, from resamples of both by the same draws.

    p is the smallest level whose percentile interval leaves out 0, and at least 2 / (R + 1).

    Args:
        first, second: the metric of all rows.
        first_resampled, second_resampled: the metric of each resample `[R]`, rows of `bootstrap.resample`.
    """
    differences = second_resampled - first_resampled
    num_beyond = min((differences <= 0).sum(), (differences >= 0).sum())
    p_value = min(1.0, 2 * (1 + float(num_beyond)) / (1 + len(differences)))
    return Difference(second - first, *interval(differences), p_value)

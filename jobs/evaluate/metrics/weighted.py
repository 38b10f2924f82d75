"""Metrics as functions of how often each row counts, so that they can be taken over many resamples at once.

Shapes: R resamples, N rows, S statistics a row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A metric of a fixed list of rows.

    Attributes:
        num_rows: rows that it is taken over.
        of_weights: from weights `[R, N]`, float64, how often each row counts, to the metric of each `[R]`.
    """

    num_rows: int
    of_weights: Callable[[Floats], Floats]

    def value(self) -> float:
        """The metric with each row counted once."""
        return float(self.of_weights(np.ones((1, self.num_rows)))[0])


def summed_metric(statistics: ArrayLike | csr_array, formula: Callable[[Floats], Floats]) -> Metric:
    """A metric that depends on its rows through sums alone, such as an F1 through three counts.

    Args:
        statistics: `[N, S]`, dense or sparse, what each row adds to the sums.
        formula: from sums `[R, S]` to the metric `[R]`.
    """
    # A sparse product adds up row by row in one thread, so that its floats are the same on any number of cores.
    statistics_NS = csr_array(statistics, dtype=np.float64)
    return Metric(statistics_NS.shape[0], lambda weights_RN: formula(weights_RN @ statistics_NS))


def mean_metric(values: ArrayLike) -> Metric:
    """The mean of a value a row `[N]`, such as accuracy, exact match, F1 of answers or absolute error."""
    values_N = np.asarray(values, dtype=np.float64)
    statistics = np.stack([values_N, np.ones_like(values_N)], axis=1)
    return summed_metric(statistics, lambda sums: ratio(sums[:, 0], sums[:, 1]))


def metric_of_indices(num_rows: int, function: Callable[[NDArray[np.int64]], float]) -> Metric:
    """Any metric, by a function of row indices, in which a row that is drawn twice is there twice.

    It is called once a resample; metrics of the forms above are much faster.
    """
    rows = np.arange(num_rows)

    def of_weights(weights_RN: Floats) -> Floats:
        return np.array([function(np.repeat(rows, weights.astype(np.int64))) for weights in weights_RN])

    return Metric(num_rows, of_weights)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotients, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator != 0)

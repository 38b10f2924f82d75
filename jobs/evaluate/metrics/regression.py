"""Mean absolute error, and the correlations of Pearson, Spearman and Kendall.

A failed row's prediction is None or not finite. It has no value that is wrong by a known amount, so it is counted
with the mean of the other predictions, which knows nothing of the row, and failed rows are reported beside the
figures. Where all rows failed, the mean of the gold values is taken for them.

The correlation of a constant, on either side, is 0. A constant is what spreads by less than 1e-13 of its mean.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, pearsonr, spearmanr

from jobs.evaluate.metrics.label_counts import one_hot
from jobs.evaluate.metrics.weighted import Floats, Metric, mean_metric, metric_of_indices, ratio


@dataclass(frozen=True)
class RegressionFigures:
    """Mean absolute error and correlations over `num_rows`, of which `num_failed` have a stand-in."""

    num_rows: int
    num_failed: int
    mae: float
    pearson: float
    spearman: float


def regression_figures(gold: Sequence[float], predicted: Sequence[float | None]) -> RegressionFigures:
    """All figures, the correlations by SciPy."""
    gold_N, predicted_N = with_stand_ins(gold, predicted)
    is_constant = any(_spread(side[None], np.ones((1, len(gold))))[1][0] == 0 for side in (gold_N, predicted_N))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are nearly constant
        pearson = 0.0 if is_constant else float(pearsonr(gold_N, predicted_N).statistic)
        spearman = 0.0 if is_constant else float(spearmanr(gold_N, predicted_N).statistic)
    return RegressionFigures(
        num_rows=len(gold),
        num_failed=int((~_is_known(predicted)).sum()),
        mae=float(np.abs(gold_N - predicted_N).mean()),
        pearson=pearson,
        spearman=spearman,
    )


def mae_metric(gold: Sequence[float], predicted: Sequence[float | None]) -> Metric:
    """The mean absolute error."""
    gold_N, predicted_N = with_stand_ins(gold, predicted)
    return mean_metric(np.abs(gold_N - predicted_N))


def pearson_metric(gold: Sequence[float], predicted: Sequence[float | None]) -> Metric:
    """Pearson's correlation."""
    gold_N, predicted_N = with_stand_ins(gold, predicted)
    return Metric(len(gold), lambda weights_RN: pearson_of_weights(gold_N[None], predicted_N[None], weights_RN))


def spearman_metric(gold: Sequence[float], predicted: Sequence[float | None]) -> Metric:
    """Spearman's correlation: Pearson's of the ranks, which are taken anew in each resample."""
    sides = [np.unique(values, return_inverse=True)[1] for values in with_stand_ins(gold, predicted)]
    members = [one_hot(codes_N, int(codes_N.max()) + 1) for codes_N in sides]

    def of_weights(weights_RN: Floats) -> Floats:
        ranks = []
        for codes_N, member_NU in zip(sides, members, strict=True):
            # Equal values have the mean of the ranks that they take together.
            counts_RU = weights_RN @ member_NU
            ranks_RU = np.cumsum(counts_RU, axis=1) - (counts_RU - 1) / 2
            ranks.append(ranks_RU[:, codes_N])
        return pearson_of_weights(ranks[0], ranks[1], weights_RN)

    return Metric(len(gold), of_weights)


def kendall_metric(gold: Sequence[float], predicted: Sequence[float | None]) -> Metric:
    """Kendall's tau-b, computed anew for each resample, in which a row that is drawn twice is there twice."""
    gold_N, predicted_N = with_stand_ins(gold, predicted)

    def of_rows(rows: NDArray[np.int64]) -> float:
        found = float(kendalltau(gold_N[rows], predicted_N[rows]).statistic)
        return 0.0 if np.isnan(found) else found  # of a constant

    return metric_of_indices(len(gold), of_rows)


def pearson_of_weights(one: Floats, other: Floats, weights_RN: Floats) -> Floats:
    """Pearson's correlation of values `[R or 1, N]` under each row of weights `[R]`."""
    (one, one_spread), (other, other_spread) = _spread(one, weights_RN), _spread(other, weights_RN)
    covariance = (weights_RN * one * other).sum(axis=1)
    return ratio(covariance, one_spread * other_spread).clip(-1, 1)


def _spread(values: Floats, weights_RN: Floats) -> tuple[Floats, Floats]:
    """Deviations from the weighted mean `[R, N]`, and the root of their sum of squares `[R]`, 0 for a constant."""
    num_rows = weights_RN.sum(axis=1)
    means = (weights_RN * values).sum(axis=1) / num_rows
    deviations = values - means[:, None]
    spread = np.sqrt((weights_RN * deviations**2).sum(axis=1))
    is_constant = spread <= 1e-13 * np.abs(means) * np.sqrt(num_rows)
    return deviations, np.where(is_constant, 0.0, spread)


def with_stand_ins(gold: Sequence[float], predicted: Sequence[float | None]) -> tuple[Floats, Floats]:
    """Both sides as arrays, with stand-ins for the predictions of failed rows."""
    gold_N, predicted_N = np.array(gold, dtype=np.float64), np.array(predicted, dtype=np.float64)
    is_known = _is_known(predicted)
    stand_in = predicted_N[is_known].mean() if is_known.any() else gold_N.mean()
    return gold_N, np.where(is_known, predicted_N, stand_in)


def _is_known(predicted: Sequence[float | None]) -> NDArray[np.bool_]:
    return np.isfinite(np.array(predicted, dtype=np.float64))  # None becomes NaN

"""Metrics of systems: the means of the rows that each of them translated.

Pairwise accuracy: Kocmi et al. 2021, To Ship or Not to Ship, https://arxiv.org/abs/2107.10821.

Shapes: R resamples, N rows, S systems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.evaluate.metrics.label_counts import one_hot
from jobs.evaluate.metrics.regression import pearson_of_weights, with_stand_ins
from jobs.evaluate.metrics.weighted import Floats, Metric, ratio


@dataclass(frozen=True)
class SystemMeans:
    """Means of systems under weights: counts, gold and predicted, each `[R, S]`; 0 for a system without rows."""

    counts: Floats
    gold: Floats
    predicted: Floats


class SystemRows:
    """The rows of systems, of which means are taken; failed rows take the mean of the other predictions."""

    def __init__(self, gold: Sequence[float], predicted: Sequence[float | None], systems: Sequence[str]) -> None:
        self.gold_N, self.predicted_N = with_stand_ins(gold, predicted)
        names, codes = np.unique(np.array(systems, dtype=object), return_inverse=True)
        self.names = [str(name) for name in names]
        self._member_NS = one_hot(codes, len(self.names))

    def means(self, weights_RN: Floats) -> SystemMeans:
        """The means of each system."""
        counts_RS = weights_RN @ self._member_NS
        gold_RS, predicted_RS = (
            ratio((weights_RN * side) @ self._member_NS, counts_RS) for side in (self.gold_N, self.predicted_N)
        )
        return SystemMeans(counts_RS, gold_RS, predicted_RS)


def system_pearson_metric(rows: SystemRows) -> Metric:
    """Pearson's correlation of the means of systems."""

    def of_weights(weights_RN: Floats) -> Floats:
        means = rows.means(weights_RN)
        return pearson_of_weights(means.gold, means.predicted, (means.counts > 0).astype(np.float64))

    return Metric(len(rows.gold_N), of_weights)


def system_accuracy_metric(rows: SystemRows) -> Metric:
    """The share of pairs of systems that predictions put in the order of the gold; 0 where there are no pairs."""
    one, other = np.triu_indices(len(rows.names), k=1)

    def of_weights(weights_RN: Floats) -> Floats:
        means = rows.means(weights_RN)
        is_there = (means.counts[:, one] > 0) & (means.counts[:, other] > 0)
        signs = [np.sign(side[:, one] - side[:, other]) for side in (means.gold, means.predicted)]
        is_right = (signs[0] == signs[1]) & is_there
        return ratio(is_right.sum(axis=1).astype(np.float64), is_there.sum(axis=1).astype(np.float64))

    return Metric(len(rows.gold_N), of_weights)

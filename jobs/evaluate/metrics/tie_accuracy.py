"""Pairwise accuracy with calibrated ties: acc_eq of Deutsch et al. 2023, https://arxiv.org/abs/2305.14324.

Two translations of one segment are ordered rightly if the predictions put the better one first, or call them equal
where the gold does. Predictions are equal if they differ by at most a threshold, which is the one that gives the
best accuracy (the smallest of several). The accuracy is the mean over segments, as in the metrics task of WMT23.

Shapes: R resamples, N rows, S segments, P pairs of rows of one segment, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.metrics.regression import with_stand_ins
from jobs.evaluate.metrics.weighted import Floats, Metric, ratio


@dataclass(frozen=True)
class SegmentPairs:
    """All pairs of rows of one segment, by rising difference of their predictions.

    Attributes:
        num_rows: N.
        gap: float64 `[P]`, how much the predictions differ.
        row: int64 `[P]`, one of the two rows, which stands for the segment.
        first_row: int64 `[S]`, a row of each segment that has pairs.
        share: float64 `[P]`, 1 by the number of pairs of the segment.
        is_ordered: bool `[P]`, whether the predictions differ, and in the direction of the gold.
        is_tie: bool `[P]`, whether the gold values are equal.
    """

    num_rows: int
    gap: Floats
    row: NDArray[np.int64]
    first_row: NDArray[np.int64]
    share: Floats
    is_ordered: NDArray[np.bool_]
    is_tie: NDArray[np.bool_]

    @cached_property
    def thresholds(self) -> Floats:
        """0 and all differences, rising: `[T]`. The accuracy is the same between two of them."""
        return np.union1d([0.0], self.gap)

    @cached_property
    def num_equal(self) -> NDArray[np.int64]:
        """How many of the pairs are ties at each threshold: `[T]`."""
        return np.searchsorted(self.gap, self.thresholds, side="right")

    def accuracies(self, weights_N: Floats) -> Floats:
        """The accuracy at each threshold `[T]`, where segments count as often as their rows do."""
        share_P = self.share * weights_N[self.row]
        change_P = np.where(self.is_tie, share_P, np.where(self.is_ordered, -share_P, 0.0))
        total = np.concatenate([[0.0], np.cumsum(change_P)]) + share_P[self.is_ordered].sum()
        at_threshold = total[self.num_equal]
        return ratio(at_threshold, np.full_like(at_threshold, weights_N[self.first_row].sum()))


def segment_pairs(
    gold: Sequence[float], predicted: Sequence[float | None], segments: Sequence[str]
) -> SegmentPairs:
    """The pairs of rows with the same segment; failed rows take the mean of the other predictions."""
    gold_N, predicted_N = with_stand_ins(gold, predicted)
    codes_N = np.unique(np.array(segments, dtype=object), return_inverse=True)[1]
    order = np.argsort(codes_N, kind="stable")
    groups = [rows for rows in np.split(order, np.flatnonzero(np.diff(codes_N[order])) + 1) if len(rows) > 1]
    empty = np.zeros(0, dtype=np.int64)
    places = [np.triu_indices(len(rows), k=1) for rows in groups]
    one = np.concatenate([empty, *(rows[first] for rows, (first, _) in zip(groups, places, strict=True))])
    other = np.concatenate([empty, *(rows[second] for rows, (_, second) in zip(groups, places, strict=True))])
    share = np.concatenate([np.zeros(0), *(np.full(len(first), 1 / len(first)) for first, _ in places)])
    differences, golds = predicted_N[one] - predicted_N[other], gold_N[one] - gold_N[other]
    rising = np.argsort(np.abs(differences), kind="stable")
    return SegmentPairs(
        num_rows=len(gold_N),
        gap=np.abs(differences)[rising],
        row=one[rising],
        first_row=np.array([rows[0] for rows in groups], dtype=np.int64),
        share=share[rising],
        is_ordered=((np.sign(differences) == np.sign(golds)) & (golds != 0))[rising],
        is_tie=(golds == 0)[rising],
    )


def tie_accuracy_metric(pairs: SegmentPairs) -> Metric:
    """The accuracy at the best threshold, which is sought anew in each resample.

    Resamples draw whole segments, so that all rows of one have the same weight.
    """
    return Metric(
        pairs.num_rows, lambda weights_RN: np.array([pairs.accuracies(weights).max() for weights in weights_RN])
    )


def best_threshold(pairs: SegmentPairs) -> float:
    """The largest difference of predictions that is still a tie."""
    return float(pairs.thresholds[pairs.accuracies(np.ones(pairs.num_rows)).argmax()])

"""Score the quality that is predicted for translations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from jobs.evaluate.examples import GOLD, SEGMENT, SYSTEM, BenchmarkTask
from jobs.evaluate.metrics.regression import kendall_metric, pearson_metric, spearman_metric, with_stand_ins
from jobs.evaluate.metrics.systems import SystemRows, system_accuracy_metric, system_pearson_metric
from jobs.evaluate.metrics.tie_accuracy import best_threshold, segment_pairs, tie_accuracy_metric
from jobs.evaluate.metrics.weighted import Floats, Metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores

OF_ROWS = ("pearson", "spearman", "kendall")
OF_SEGMENTS = ("acc_eq",)
OF_SYSTEMS = ("system_pearson", "system_accuracy")
"""Metrics that need a column of segments, and those that need one of systems."""


def score_translations(
    task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str
) -> SubsetScores:
    """The scores of translations of one language pair. Rows of one segment are drawn together."""
    gold: list[float] = rows.examples[GOLD].to_pylist()
    predicted: list[float | None] = rows.field("score")
    metrics: dict[str, Metric] = {
        "pearson": pearson_metric(gold, predicted),
        "spearman": spearman_metric(gold, predicted),
        "kendall": kendall_metric(gold, predicted),
    }
    details: dict[str, Any] = {}
    segments: list[str] | None = None
    if "acc_eq" in task.metrics:
        segments = rows.examples[SEGMENT].to_pylist()
        pairs = segment_pairs(gold, predicted, segments)
        metrics["acc_eq"] = tie_accuracy_metric(pairs)
        details |= {"tie_threshold": best_threshold(pairs), "segments_with_pairs": len(pairs.first_row)}
    if "system_pearson" in task.metrics:
        systems = SystemRows(gold, predicted, rows.examples[SYSTEM].to_pylist())
        metrics["system_pearson"] = system_pearson_metric(systems)
        metrics["system_accuracy"] = system_accuracy_metric(systems)
        details["systems"] = _systems(systems)
    return SubsetScores(
        metrics=metrics,
        baseline={},
        quality=_rank_distances(gold, predicted),
        quality_name="distance of ranks",
        gold=[f"{value:.3f}" for value in gold],
        predicted=[None if value is None else f"{value:.3f}" for value in predicted],
        confidence=[None] * len(gold),
        groups=segments,
        details=details,
    )


def _systems(systems: SystemRows) -> list[dict[str, Any]]:
    """The means of each system, the best by the gold first."""
    means = systems.means(np.ones((1, len(systems.gold_N))))
    found = [
        {"system": name, "num_rows": int(count), "gold": float(gold), "score": float(score)}
        for name, count, gold, score in zip(
            systems.names, means.counts[0], means.gold[0], means.predicted[0], strict=True
        )
    ]
    return sorted(found, key=lambda each: -each["gold"])


def _rank_distances(gold: list[float], predicted: list[float | None]) -> Floats:
    """How far the ranks of gold and score are from each other, as a share of all rows; NaN for failed rows.

    Gold values and scores have different scales, so that their difference says nothing.
    """
    ranks = [rankdata(side) for side in with_stand_ins(gold, predicted)]
    distances: Floats = np.abs(ranks[0] - ranks[1]) / len(gold)
    return np.where(np.isfinite(np.array(predicted, dtype=np.float64)), distances, np.nan)

"""Score several labels a row."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.metrics.multi_label import (
    THRESHOLD,
    macro_average_precision_metric,
    macro_f1_metric,
    micro_f1_metric,
    multi_label_figures,
)
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores

_METRICS = {
    "micro_f1": micro_f1_metric,
    "macro_f1": macro_f1_metric,
    "average_precision": macro_average_precision_metric,
}


def score_label_sets(
    task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str
) -> SubsetScores:
    """The scores of label sets: those with a probability of at least 0.5."""
    gold: list[list[str]] = rows.examples[GOLD].to_pylist()
    names = list(labels.values())
    scores: list[list[float] | None] = rows.field("scores")
    found = [
        None if row is None else [n for n, s in zip(names, row, strict=True) if s >= THRESHOLD] for row in scores
    ]
    right = [row is not None and set(row) == set(golds) for row, golds in zip(found, gold, strict=True)]
    figures = multi_label_figures(gold, scores, names)
    return SubsetScores(
        metrics={name: _METRICS[name](gold, scores, names) for name in task.metrics},
        baseline={},
        quality=np.array(right, dtype=np.float64),
        quality_name="rows with all labels right",
        gold=[", ".join(row) for row in gold],
        predicted=[None if row is None else ", ".join(row) for row in found],
        confidence=[None if row is None else max(row, default=None) for row in scores],
        details={
            "labels": [asdict(label) for label in figures.labels],
            "labels_left_out": figures.num_labels_left_out,
        },
    )

"""Score values."""

from collections.abc import Mapping

import numpy as np

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.metrics.regression import mae_metric, pearson_metric, spearman_metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores

_METRICS = {"pearson": pearson_metric, "spearman": spearman_metric, "mae": mae_metric}


def score_values(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of predicted values."""
    gold: list[float] = rows.examples[GOLD].to_pylist()
    predicted = predicted_values(rows)
    error = [np.nan if value is None else abs(value - right) for value, right in zip(predicted, gold, strict=True)]
    return SubsetScores(
        metrics={name: _METRICS[name](gold, predicted) for name in task.metrics},
        baseline={},
        quality=np.array(error, dtype=np.float64),
        quality_name="absolute error",
        gold=[f"{value:.3f}" for value in gold],
        predicted=[None if value is None else f"{value:.3f}" for value in predicted],
        confidence=[None] * len(gold),
    )


def predicted_values(rows: Predictions) -> list[float | None]:
    """The value of each row."""
    return rows.field("value")

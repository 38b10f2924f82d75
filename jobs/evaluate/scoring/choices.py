"""Score multiple choice."""

from collections.abc import Mapping

import numpy as np

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.metrics.classification import accuracy_metric, is_correct, majority_predictions
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores


def score_choices(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of chosen texts, by number."""
    gold: list[int] = rows.examples[GOLD].to_pylist()
    predicted: list[int | None] = rows.field("choice")
    return SubsetScores(
        metrics={"accuracy": accuracy_metric(gold, predicted)},
        baseline={"accuracy": accuracy_metric(gold, majority_predictions(gold)).value()},
        quality=is_correct(gold, predicted).astype(np.float64),
        quality_name="accuracy",
        gold=[str(number) for number in gold],
        predicted=[None if number is None else str(number) for number in predicted],
        confidence=[None if found is None else max(found) for found in rows.field("scores")],
    )

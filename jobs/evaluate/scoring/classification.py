"""Score class labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.labels import recorded_name
from jobs.evaluate.metrics.calibration import calibration
from jobs.evaluate.metrics.classification import (
    accuracy_metric,
    classification_figures,
    f1_metric,
    is_correct,
    macro_f1_metric,
    majority_predictions,
    matthews_metric,
)
from jobs.evaluate.metrics.weighted import Metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores

Labels = Sequence[str | None]


def score_classes(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of class labels; `labels` are the benchmark's names by the head's label."""
    gold: list[str] = rows.examples[GOLD].to_pylist()
    predicted, confidence = predicted_classes(rows, labels)
    return scores_of_classes(task, gold, predicted, confidence, sorted(set(labels.values())))


def predicted_classes(rows: Predictions, labels: Mapping[str, str]) -> tuple[list[str | None], list[float | None]]:
    """The benchmark's name of each predicted label, and its score."""
    names = [None if label is None else recorded_name(label, labels) for label in rows.field("label")]
    return names, rows.field("score")


def scores_of_classes(
    task: BenchmarkTask,
    gold: list[str],
    predicted: list[str | None],
    confidence: Sequence[float | None],
    names: Sequence[str],
) -> SubsetScores:
    """The scores of predicted class names; `names` are all that can be predicted."""
    order = [*task.labels, *(name for name in names if name not in task.labels)]
    kinds: dict[str, Callable[[list[str], Labels], Metric]] = {
        "accuracy": accuracy_metric,
        "matthews": matthews_metric,
        "f1": lambda gold, found: f1_metric(gold, found, task.positive or order[-1]),
        "macro_f1": macro_f1_metric,
        "micro_f1": accuracy_metric,
    }
    majority: list[str | None] = [str(label) for label in majority_predictions(gold)]
    correct = is_correct(gold, predicted)
    figures = classification_figures(gold, predicted, order)
    return SubsetScores(
        metrics={name: kinds[name](gold, predicted) for name in task.metrics},
        baseline={name: kinds[name](gold, majority).value() for name in task.metrics},
        quality=correct.astype(np.float64),
        quality_name="accuracy",
        gold=gold,
        predicted=predicted,
        confidence=confidence,
        details={
            "labels": [asdict(label) for label in figures.labels],
            "confusion": [list(row) for row in figures.confusion],
            "calibration": asdict(calibration(confidence, correct)),
        },
    )

"""Score a label for each word: parts of speech, or entities."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.labels import recorded_name
from jobs.evaluate.metrics.classification import classification_figures
from jobs.evaluate.metrics.entities import entity_f1_metric, entity_figures
from jobs.evaluate.metrics.plain_tags import token_accuracy_metric, xtreme_f1_metric
from jobs.evaluate.metrics.weighted import Metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores

_METRICS: dict[str, Callable[[list[list[str]], list[list[str] | None]], Metric]] = {
    "entity_f1": entity_f1_metric,
    "token_accuracy": token_accuracy_metric,
    "xtreme_f1": xtreme_f1_metric,
}
_NO_LABEL = "O"


def score_words(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of words' labels; a word without a label, as it has no pieces, is outside of all entities."""
    gold: list[list[str]] = rows.examples[GOLD].to_pylist()
    predicted = [_tags(row, labels) for row in rows.prediction.to_pylist()]
    tags = Counter(chain.from_iterable(gold))
    most_frequent = max(tags, key=tags.__getitem__, default=_NO_LABEL)
    majority: list[list[str] | None] = [[most_frequent] * len(row) for row in gold]
    has_entities = "entity_f1" in task.metrics
    return SubsetScores(
        metrics={name: _METRICS[name](gold, predicted) for name in task.metrics},
        baseline={name: _METRICS[name](gold, majority).value() for name in task.metrics if name != "entity_f1"},
        quality=np.array([_share_right(g, p) for g, p in zip(gold, predicted, strict=True)], dtype=np.float64),
        quality_name="share of words that are right",
        gold=[" ".join(row) for row in gold],
        predicted=[None if row is None else " ".join(row) for row in predicted],
        confidence=[None] * len(gold),
        details=_entities(gold, predicted) if has_entities else _tags_by_label(gold, predicted),
    )


def _tags(row: list[dict[str, Any]] | None, labels: Mapping[str, str]) -> list[str] | None:
    if row is None:
        return None
    return [_NO_LABEL if word["label"] is None else recorded_name(word["label"], labels) for word in row]


def _share_right(gold: list[str], predicted: list[str] | None) -> float:
    if predicted is None or not gold:
        return float(predicted is not None)
    return sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold)


def _entities(gold: list[list[str]], predicted: list[list[str] | None]) -> dict[str, Any]:
    figures = entity_figures(gold, predicted)
    return {"micro": asdict(figures.micro), "types": {name: asdict(f) for name, f in figures.types.items()}}


def _tags_by_label(gold: list[list[str]], predicted: list[list[str] | None]) -> dict[str, Any]:
    flat = [tag for row in gold for tag in row]
    filled = [[None] * len(g) if p is None else p for g, p in zip(gold, predicted, strict=True)]
    if not flat:
        return {}
    found = [tag for row in filled for tag in row]
    figures = classification_figures(flat, found)
    return {
        "labels": [asdict(label) for label in figures.labels],
        "confusion": [list(row) for row in figures.confusion],
    }

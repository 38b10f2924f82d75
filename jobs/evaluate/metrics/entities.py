"""Entity F1 of tag sequences by seqeval 1.2 in its default mode, as for WikiANN.

A failed sentence's prediction is None: no entity is found in it. A word whose tag is None has tag O.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from jobs.evaluate.metrics.label_counts import micro_f1
from jobs.evaluate.metrics.weighted import Metric, summed_metric

Tags = Sequence[Sequence[str]]
PredictedTags = Sequence[Sequence[str | None] | None]


@dataclass(frozen=True)
class EntityFigures:
    """Precision, recall and F1, 0 where undefined; `support` entities are gold, `num_predicted` are predicted."""

    precision: float
    recall: float
    f1: float
    support: int
    num_predicted: int


@dataclass(frozen=True)
class AllEntityFigures:
    """The figures of all entities together (micro), and by type, sorted by name."""

    num_failed: int
    micro: EntityFigures
    types: dict[str, EntityFigures]


def entity_figures(gold: Tags, predicted: PredictedTags) -> AllEntityFigures:
    """All figures, by seqeval.

    Raises:
        ValueError: a prediction has another number of tags than its sentence.
    """
    expected, found = [list(tags) for tags in gold], complete(gold, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that do not look like entities
        micro = precision_recall_fscore_support(expected, found, average="micro", zero_division=0)
        by_type = precision_recall_fscore_support(expected, found, average=None, zero_division=0)
        expected_types, found_types = ([type_ for type_, _, _ in get_entities(tags)] for tags in (expected, found))
    names = sorted({*expected_types, *found_types})
    return AllEntityFigures(
        num_failed=sum(tags is None for tags in predicted),
        micro=_figures(micro, len(expected_types), len(found_types)),
        types={
            name: _figures(figures, expected_types.count(name), found_types.count(name))
            for name, *figures in zip(names, *by_type, strict=True)
        },
    )


def _figures(figures: Sequence[float], support: int, num_predicted: int) -> EntityFigures:
    precision, recall, f1 = (float(figure) for figure in figures[:3])
    return EntityFigures(precision, recall, f1, support, num_predicted)


def entity_f1_metric(gold: Tags, predicted: PredictedTags) -> Metric:
    """Micro F1 over sentences."""
    counts = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for expected_tags, found_tags in zip(gold, complete(gold, predicted), strict=True):
            expected, found = set(get_entities(list(expected_tags))), set(get_entities(found_tags))
            counts.append((len(expected & found), len(expected), len(found)))
    return summed_metric(np.array(counts), micro_f1)


def complete(gold: Tags, predicted: PredictedTags) -> list[list[str]]:
    """A tag for each word, O where there is no prediction.

    Raises:
        ValueError: a prediction has another number of tags than its sentence.
    """
    sentences = []
    for n, (expected, found) in enumerate(zip(gold, predicted, strict=True)):
        if found is not None and len(found) != len(expected):
            raise ValueError(f"sentence {n} has {len(expected)} tags, but its prediction has {len(found)}")
        sentences.append(["O" if tag is None else tag for tag in found or [None] * len(expected)])
    return sentences

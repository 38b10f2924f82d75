"""Figures of a head on a part: overall, by language and by label, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.evaluate.metrics.bootstrap import Draws, resample
from jobs.evaluate.metrics.calibration import Calibration, calibration
from jobs.evaluate.metrics.label_counts import micro_f1
from jobs.evaluate.metrics.weighted import Metric, summed_metric
from jobs.evaluate.results import Figure, Measured
from jobs.fit.feature_blocks import RowNumbers
from jobs.fit.figures.measures import baseline_outputs, measure, measures_of
from jobs.fit.fitted_head import Floats, scores_of
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.labels.word_list import word_list_outputs


@dataclass(frozen=True)
class LabelResult:
    """A label's precision, recall and F1, F1 with its interval; `support` rows have it, `num_predicted` get it."""

    name: str
    precision: float
    recall: float
    f1: Figure
    support: int
    num_predicted: int


@dataclass(frozen=True)
class SubsetFigures:
    """Figures by metric over so many rows."""

    num_rows: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class PartFigures:
    """All figures of a part.

    Attributes:
        overall: by metric.
        baseline: by metric, of a head that knows only how often labels are in the rows fitted on.
        word_list: by metric, of a list of the words fitted on with their most frequent tags; empty without words.
        languages: by language, where rows have one.
        labels: none for regression.
        confusion: of single labels, rows by gold and predicted label.
        uncalibrated, calibrated: reliability of scores before and after the temperature; None for regression. Of
            several labels each row and label counts as one yes or no.
    """

    num_rows: int
    overall: Mapping[str, Figure]
    baseline: Mapping[str, float]
    word_list: Mapping[str, float]
    languages: Mapping[str, SubsetFigures]
    labels: Sequence[LabelResult]
    confusion: Sequence[Sequence[int]]
    uncalibrated: Calibration | None
    calibrated: Calibration | None


def part_figures(
    outputs: Floats,
    temperature: float,
    all_targets: Targets,
    facts: RowFacts,
    rows: RowNumbers,
    fit_rows: RowNumbers,
    num_resamples: int,
    seed: int,
) -> PartFigures:
    """Figures of outputs `[n, K]`, not yet divided by the temperature, of `rows`.

    Args:
        all_targets, facts: of all rows.
        fit_rows: the rows that the baseline knows.
    """
    targets = all_targets.of(rows)
    fitted = all_targets.of(fit_rows)
    guessed = baseline_outputs(fitted, len(rows))
    listed = {}
    if facts.words is not None:
        fit_words, words = ([facts.words[row] for row in some] for some in (fit_rows, rows))
        found = word_list_outputs(fit_words, fitted.values, words, len(targets.names))
        listed = _values(found, targets, facts, rows)
    return PartFigures(
        num_rows=len(rows),
        overall=_figures(outputs, targets, facts, rows, num_resamples, seed),
        baseline=_values(guessed, targets, facts, rows),
        word_list=listed,
        languages=_by_language(outputs, targets, facts, rows, num_resamples, seed),
        labels=_labels(outputs, targets, [facts.groups[row] for row in rows], num_resamples, seed),
        confusion=_confusion(outputs, targets),
        uncalibrated=reliability(outputs, targets),
        calibrated=reliability(outputs / temperature, targets),
    )


def reliability(outputs: Floats, targets: Targets) -> Calibration | None:
    """How right predictions of a score are; None for regression."""
    if targets.problem == "regression":
        return None
    scores = scores_of(outputs, targets.problem)
    if targets.problem == "single":
        return calibration(scores.max(axis=1).tolist(), scores.argmax(axis=1) == targets.values)
    right = (scores >= 0.5) == (targets.values == 1)
    return calibration(np.maximum(scores, 1 - scores).ravel().tolist(), right.ravel())


def _values(outputs: Floats, targets: Targets, facts: RowFacts, rows: RowNumbers) -> dict[str, float]:
    return {name: each.metric.value() for name, each in measures_of(outputs, targets, facts, rows).items()}


def _figures(
    outputs: Floats, targets: Targets, facts: RowFacts, rows: RowNumbers, num_resamples: int, seed: int
) -> dict[str, Figure]:
    measures = measures_of(outputs, targets, facts, rows)
    found = measure(list(measures.values()), num_resamples, seed)
    return {name: each.figure for name, each in zip(measures, found, strict=True)}


def _by_language(
    outputs: Floats, targets: Targets, facts: RowFacts, rows: RowNumbers, num_resamples: int, seed: int
) -> dict[str, SubsetFigures]:
    if facts.languages is None:
        return {}
    languages = np.array([facts.languages[row] for row in rows], dtype=object)
    found = {}
    for name in sorted(set(languages)):
        places = np.flatnonzero(languages == name)
        figures = _figures(outputs[places], targets.of(places), facts, rows[places], num_resamples, seed)
        found[str(name)] = SubsetFigures(len(places), figures)
    return found


def _labels(
    outputs: Floats, targets: Targets, groups: Sequence[object], num_resamples: int, seed: int
) -> list[LabelResult]:
    if targets.problem == "regression":
        return []
    gold, predicted = _memberships(outputs, targets)
    counts = [np.stack([g * p, g, p], axis=1) for g, p in zip(gold.T, predicted.T, strict=True)]
    metrics: list[Metric] = [summed_metric(each, micro_f1) for each in counts]
    resampled = resample(metrics, Draws(len(outputs), groups, num_resamples, seed))
    found = []
    for name, metric, draws, each in zip(targets.names, metrics, resampled, counts, strict=True):
        right, support, num = (int(total) for total in each.sum(axis=0))
        found.append(
            LabelResult(
                name,
                right / num if num else 0.0,
                right / support if support else 0.0,
                Measured(metric.value(), draws).figure,
                support,
                num,
            )
        )
    return found


def _memberships(outputs: Floats, targets: Targets) -> tuple[Floats, Floats]:
    """1 where a row has a label, and where it gets it: both `[n, K]`."""
    if targets.problem == "single":
        one_hot = np.eye(len(targets.names))
        return one_hot[targets.values], one_hot[outputs.argmax(axis=1)]
    return (targets.values == 1).astype(float), (outputs >= 0).astype(float)


def _confusion(outputs: Floats, targets: Targets) -> list[list[int]]:
    if targets.problem != "single":
        return []
    K = len(targets.names)
    return np.bincount(targets.values * K + outputs.argmax(axis=1), minlength=K * K).reshape(K, K).tolist()

"""What outputs are worth: metrics of any problem, as functions of resampled rows."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.metrics import classification, multi_label, regression
from jobs.evaluate.metrics.bootstrap import Draws, resample
from jobs.evaluate.metrics.entities import entity_f1_metric
from jobs.evaluate.metrics.weighted import Metric
from jobs.evaluate.results import Measured
from jobs.fit.feature_blocks import RowNumbers
from jobs.fit.fitted_head import Floats, scores_of
from jobs.fit.labels.targets import ClassWeights, RowFacts, Targets


@dataclass(frozen=True)
class Measure:
    """A metric and the groups that its rows are drawn by."""

    metric: Metric
    groups: Sequence[Hashable]


def measures_of(outputs: Floats, targets: Targets, facts: RowFacts, rows: RowNumbers) -> dict[str, Measure]:
    """All metrics of the problem by name.

    Args:
        outputs: of the rows `[n, K]`.
        targets: of the rows.
        facts: of all rows.
        rows: which ones these are.
    """
    groups = [facts.groups[row] for row in rows]
    return {name: Measure(metric, groups) for name, metric in _metrics(outputs, targets).items()} | (
        _entity_measure(outputs, targets, facts, rows) if holds_entities(targets, facts) else {}
    )


def holds_entities(targets: Targets, facts: RowFacts) -> bool:
    """Whether labels are tags of entities, such as B-PER."""
    return facts.sentences is not None and any(name.startswith("B-") for name in targets.names)


def default_metric(targets: Targets, facts: RowFacts, weights: ClassWeights) -> str:
    """What heads are compared by unless it is said."""
    if targets.problem == "regression":
        return "spearman"
    if holds_entities(targets, facts):
        return "entity_f1"
    return "accuracy" if targets.problem == "single" and weights == "none" else "macro_f1"


def measure(measures: Sequence[Measure], num_resamples: int, seed: int) -> list[Measured]:
    """Values with their resamples; those of equal groups are resampled alike."""
    found = []
    for each in measures:
        draws = Draws(each.metric.num_rows, each.groups, num_resamples, seed)
        found.append(Measured(each.metric.value(), resample([each.metric], draws)[0]))
    return found


def predicted_names(outputs: Floats, targets: Targets) -> list[str]:
    """The label of the greatest output of each row."""
    return [targets.names[place] for place in outputs.argmax(axis=1)]


def gold_names(targets: Targets) -> list[str]:
    """The label of each row."""
    return [targets.names[place] for place in targets.values]


def gold_sets(targets: Targets) -> list[list[str]]:
    """The labels of each row."""
    return [[targets.names[place] for place in np.flatnonzero(row == 1)] for row in targets.values]


def baseline_outputs(fitted: Targets, num_rows: int) -> Floats:
    """Outputs of a head that knows how often labels are in the rows fitted on, and nothing of a row."""
    if fitted.problem == "regression":
        return np.full((num_rows, 1), fitted.values.mean())
    if fitted.problem == "single":
        shares = np.bincount(fitted.values, minlength=len(fitted.names)) / len(fitted.values)
        return np.tile(np.log(np.maximum(shares, 1e-9)), (num_rows, 1))
    shares = np.clip((fitted.values == 1).mean(axis=0), 1e-9, 1 - 1e-9)
    return np.tile(np.log(shares / (1 - shares)), (num_rows, 1))


def _metrics(outputs: Floats, targets: Targets) -> dict[str, Metric]:
    if targets.problem == "single":
        # Places in place of names: they are compared faster, and the metrics take both.
        gold, predicted = targets.values.tolist(), outputs.argmax(axis=1).tolist()
        return {
            "accuracy": classification.accuracy_metric(gold, predicted),
            "macro_f1": classification.macro_f1_metric(gold, predicted),
        }
    if targets.problem == "regression":
        values, found = targets.values.tolist(), outputs[:, 0].tolist()
        return {
            "spearman": regression.spearman_metric(values, found),
            "pearson": regression.pearson_metric(values, found),
            "mae": regression.mae_metric(values, found),
        }
    sets, scores = gold_sets(targets), scores_of(outputs, "multi_label").tolist()
    return {
        "macro_f1": multi_label.macro_f1_metric(sets, scores, targets.names),
        "micro_f1": multi_label.micro_f1_metric(sets, scores, targets.names),
        "macro_average_precision": multi_label.macro_average_precision_metric(sets, scores, targets.names),
    }


def _entity_measure(outputs: Floats, targets: Targets, facts: RowFacts, rows: RowNumbers) -> dict[str, Measure]:
    """F1 of entities; its rows are sentences."""
    assert facts.sentences is not None
    sentences = facts.sentences[rows]
    starts = np.flatnonzero(np.diff(sentences, prepend=sentences[0] - 1))
    gold, predicted = (
        _by_sentence(names, starts) for names in (gold_names(targets), predicted_names(outputs, targets))
    )
    groups = [facts.groups[rows[start]] for start in starts]
    return {"entity_f1": Measure(entity_f1_metric(gold, predicted), groups)}


def _by_sentence(names: Sequence[str], starts: NDArray[np.int64]) -> list[Sequence[str]]:
    ends = [*starts[1:].tolist(), len(names)]
    return [names[start:end] for start, end in zip(starts.tolist(), ends, strict=True)]

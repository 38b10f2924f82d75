"""F1 and average precision where a row has any number of labels.

A failed row's scores are None: it predicts no label and is ranked below all others.
"""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

from jobs.evaluate.metrics import label_counts
from jobs.evaluate.metrics.weighted import Floats, Metric, ratio, summed_metric

THRESHOLD = 0.5
"""Labels of this score or more are predicted."""


@dataclass(frozen=True)
class LabelFigures:
    """The figures of one label; `average_precision` is None where no row has the label."""

    label: str
    precision: float
    recall: float
    f1: float
    average_precision: float | None
    support: int
    num_predicted: int


@dataclass(frozen=True)
class MultiLabelFigures:
    """The figures over all labels, fractions.

    Attributes:
        num_rows, num_failed: rows, and those among them whose scores are None.
        micro_f1, macro_f1: macro counts a label that is neither gold nor predicted as 0.
        macro_average_precision: over labels that some row has; 0 where there is none.
        num_labels_left_out: labels that no row has.
        labels: the figures by label, in the order of the labels.
    """

    num_rows: int
    num_failed: int
    micro_f1: float
    macro_f1: float
    macro_average_precision: float
    num_labels_left_out: int
    labels: tuple[LabelFigures, ...]


def multi_label_figures(
    gold: Sequence[Collection[str]], scores: Sequence[Sequence[float] | None], labels: Sequence[str]
) -> MultiLabelFigures:
    """All figures, by scikit-learn.

    Args:
        gold: the labels of each row.
        scores: the probability of each of `labels`, in their order, or None for a failed row.
        labels: all labels of the head.

    Raises:
        ValueError: a gold label is not among the labels.
    """
    gold_NK, scores_NK = _gold_matrix(gold, labels), _score_matrix(scores, len(labels))
    predicted_NK = scores_NK >= THRESHOLD
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn asks whether this is a regression where labels are many
        by_label = [_label_figures(label, gold_NK[:, k], scores_NK[:, k]) for k, label in enumerate(labels)]
        micro_f1 = float(f1_score(gold_NK.ravel(), predicted_NK.ravel(), zero_division=0))
    known = [label.average_precision for label in by_label if label.average_precision is not None]
    return MultiLabelFigures(
        num_rows=len(gold),
        num_failed=sum(row is None for row in scores),
        micro_f1=micro_f1,
        macro_f1=float(np.mean([label.f1 for label in by_label])),
        macro_average_precision=float(np.mean(known)) if known else 0.0,
        num_labels_left_out=len(labels) - len(known),
        labels=tuple(by_label),
    )


def _label_figures(label: str, gold_N: NDArray[np.bool_], scores_N: Floats) -> LabelFigures:
    # One label at a time: scikit-learn takes a matrix of one column for two classes.
    predicted_N = scores_N >= THRESHOLD
    precision, recall, f1, _ = precision_recall_fscore_support(
        gold_N, predicted_N, average="binary", zero_division=0
    )
    support = int(gold_N.sum())
    average_precision = float(average_precision_score(gold_N, scores_N)) if support else None
    return LabelFigures(
        label, float(precision), float(recall), float(f1), average_precision, support, int(predicted_N.sum())
    )


def micro_f1_metric(
    gold: Sequence[Collection[str]], scores: Sequence[Sequence[float] | None], labels: Sequence[str]
) -> Metric:
    """F1 of the counts of all labels added up."""
    return summed_metric(_counts(gold, scores, labels), label_counts.micro_f1)


def macro_f1_metric(
    gold: Sequence[Collection[str]], scores: Sequence[Sequence[float] | None], labels: Sequence[str]
) -> Metric:
    """The mean of the labels' F1."""
    return summed_metric(_counts(gold, scores, labels), label_counts.macro_f1)


def macro_average_precision_metric(
    gold: Sequence[Collection[str]], scores: Sequence[Sequence[float] | None], labels: Sequence[str]
) -> Metric:
    """The mean of average precision over the labels that a row has, in a resample those of its own rows."""
    gold_NK, scores_NK = _gold_matrix(gold, labels), _score_matrix(scores, len(labels))

    def of_weights(weights_RN: Floats) -> Floats:
        total, num_labels = np.zeros(len(weights_RN)), np.zeros(len(weights_RN))
        for k in range(len(labels)):
            total += _average_precision(gold_NK[:, k], scores_NK[:, k], weights_RN)
            num_labels += weights_RN @ gold_NK[:, k] > 0
        return ratio(total, num_labels)

    return Metric(len(gold), of_weights)


def _average_precision(gold_N: NDArray[np.bool_], scores_N: Floats, weights_RN: Floats) -> Floats:
    """The sum over thresholds of precision times the gain in recall, 0 without a positive: `[R]`."""
    order = np.argsort(-scores_N, kind="stable")
    # A threshold lies after the last of equal scores.
    is_last = np.append(np.diff(scores_N[order]) != 0, True)
    weights = weights_RN[:, order]
    num_ranked = np.cumsum(weights, axis=1)[:, is_last]
    num_right = np.cumsum(weights * gold_N[order], axis=1)[:, is_last]
    gains = np.diff(num_right, axis=1, prepend=0.0)
    return ratio((gains * ratio(num_right, num_ranked)).sum(axis=1), num_right[:, -1])


def _counts(
    gold: Sequence[Collection[str]], scores: Sequence[Sequence[float] | None], labels: Sequence[str]
) -> csr_array:
    predicted_NK = _score_matrix(scores, len(labels)) >= THRESHOLD
    gold_NK = _gold_matrix(gold, labels)
    return label_counts.label_counts(
        csr_array(gold_NK, dtype=np.float64), csr_array(predicted_NK, dtype=np.float64)
    )


def _gold_matrix(gold: Sequence[Collection[str]], labels: Sequence[str]) -> NDArray[np.bool_]:
    place = {label: k for k, label in enumerate(labels)}
    unknown = sorted({label for row in gold for label in row} - place.keys())
    if unknown:
        raise ValueError(f"gold has labels that the head does not have: {unknown}")
    matrix = np.zeros((len(gold), len(labels)), dtype=bool)
    for n, row in enumerate(gold):
        matrix[n, [place[label] for label in row]] = True
    return matrix


def _score_matrix(scores: Sequence[Sequence[float] | None], num_labels: int) -> Floats:
    """Scores `[N, K]`, -1 in failed rows, below any probability."""
    return np.array([[-1.0] * num_labels if row is None else row for row in scores], dtype=np.float64)

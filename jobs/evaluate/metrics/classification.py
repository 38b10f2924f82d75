"""Accuracy, Matthews correlation and F1 of single labels.

A failed row's prediction is None. It counts as a wrong label of its own, which is never gold: it lowers accuracy,
Matthews, micro F1 and the recall of its gold label, and no other label's precision.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from jobs.evaluate.metrics.label_counts import label_counts, macro_f1, micro_f1, one_hot, split_counts
from jobs.evaluate.metrics.weighted import Floats, Metric, mean_metric, ratio, summed_metric

Label = str | int


@dataclass(frozen=True)
class LabelFigures:
    """Precision, recall and F1 of one label, 0 where undefined; `support` rows have it, `num_predicted` get it."""

    label: Label
    precision: float
    recall: float
    f1: float
    support: int
    num_predicted: int


@dataclass(frozen=True)
class ClassificationFigures:
    """The figures of single labels, all of them fractions.

    Attributes:
        num_rows, num_failed: rows, and those among them whose prediction is None.
        accuracy, matthews: Matthews is 0 where gold or prediction is one class.
        macro_f1: the mean of the labels' F1.
        micro_f1: equals accuracy, since a failed row counts as a wrong label.
        labels: the figures by label, in the order of the labels.
        confusion: rows by gold label and predicted label; the last column is of failed rows.
    """

    num_rows: int
    num_failed: int
    accuracy: float
    matthews: float
    macro_f1: float
    micro_f1: float
    labels: tuple[LabelFigures, ...]
    confusion: tuple[tuple[int, ...], ...]


def label_set(*labels: Iterable[Label | None]) -> list[Label]:
    """The labels that occur, sorted."""
    found = {label for some in labels for label in some if label is not None}
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def classification_figures(
    gold: Sequence[Label], predicted: Sequence[Label | None], labels: Sequence[Label] = ()
) -> ClassificationFigures:
    """All figures, by scikit-learn.

    Args:
        gold, predicted: labels of the rows, by name or by number alike.
        labels: further labels that the macro average counts, with F1 0, though they never occur.
    """
    names = label_set(labels, gold, predicted)
    gold_codes, codes = _codes(gold, names), _codes(predicted, names)
    known = range(len(names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn asks whether this is a regression where labels are many
        precision, recall, f1, support = precision_recall_fscore_support(
            gold_codes, codes, labels=known, zero_division=0
        )
        # The label of failed rows is there as well, so that the matrix has a column of it.
        confusion = confusion_matrix(gold_codes, codes, labels=range(len(names) + 1))[:-1]
        return ClassificationFigures(
            num_rows=len(gold),
            num_failed=int((codes == len(names)).sum()),
            accuracy=float(accuracy_score(gold_codes, codes)),
            matthews=float(matthews_corrcoef(gold_codes, codes)),
            macro_f1=float(np.mean(f1)),
            micro_f1=float(f1_score(gold_codes, codes, average="micro", zero_division=0)),
            labels=tuple(
                LabelFigures(
                    names[k], float(precision[k]), float(recall[k]), float(f1[k]), int(support[k]), int(num)
                )
                for k, num in zip(known, confusion.sum(axis=0), strict=False)
            ),
            confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        )


def is_correct(gold: Sequence[Label], predicted: Sequence[Label | None]) -> NDArray[np.bool_]:
    """Which rows are right."""
    return np.array([label == found for label, found in zip(gold, predicted, strict=True)], dtype=bool)


def majority_predictions(gold: Sequence[Label]) -> list[Label]:
    """What a predictor of the most frequent gold label predicts, of equally frequent ones the first when sorted.

    Any metric of these predictions is what can be had without a model; their accuracy is the label's share.
    """
    counts = Counter(gold)
    return [max(label_set(gold), key=counts.__getitem__)] * len(gold)


def accuracy_metric(gold: Sequence[Label], predicted: Sequence[Label | None]) -> Metric:
    """The share of right rows."""
    return mean_metric(is_correct(gold, predicted))


def f1_metric(gold: Sequence[Label], predicted: Sequence[Label | None], positive: Label) -> Metric:
    """F1 of one label, as of label 1 in MRPC and QQP."""
    is_gold, is_predicted = (np.array([label == positive for label in side], float) for side in (gold, predicted))
    counts = np.stack([is_gold * is_predicted, is_gold, is_predicted], axis=1)
    return summed_metric(counts, micro_f1)


def macro_f1_metric(
    gold: Sequence[Label], predicted: Sequence[Label | None], labels: Sequence[Label] = ()
) -> Metric:
    """The mean of the labels' F1, over the same labels in each resample."""
    return summed_metric(_counts(gold, predicted, label_set(labels, gold, predicted)), macro_f1)


def matthews_metric(gold: Sequence[Label], predicted: Sequence[Label | None]) -> Metric:
    """Matthews correlation of two or more classes; 0 where gold or prediction is one class.

    Source: Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient (2004).
    """
    return summed_metric(_counts(gold, predicted, label_set(gold, predicted)), _matthews)


def _matthews(sums: Floats) -> Floats:
    right, gold, predicted = split_counts(sums)
    num_rows = gold.sum(axis=1)
    num_failed = num_rows - predicted.sum(axis=1)
    covariance = right.sum(axis=1) * num_rows - (gold * predicted).sum(axis=1)
    gold_variance = num_rows**2 - (gold**2).sum(axis=1)
    variance = num_rows**2 - (predicted**2).sum(axis=1) - num_failed**2
    return ratio(covariance, np.sqrt(gold_variance) * np.sqrt(variance))


def _counts(gold: Sequence[Label], predicted: Sequence[Label | None], names: Sequence[Label]) -> csr_array:
    codes = (one_hot(_codes(side, names), len(names)) for side in (gold, predicted))
    return label_counts(*codes)


def _codes(labels: Sequence[Label | None], names: Sequence[Label]) -> NDArray[np.int64]:
    """Places of the labels in `names`; those of failed rows are `len(names)`."""
    place = {name: k for k, name in enumerate(names)}
    return np.array([len(names) if label is None else place[label] for label in labels], dtype=np.int64)

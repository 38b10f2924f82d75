"""Find out whether a classifier's labels have been given in another order than it was trained with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom

from jobs.evaluate.metrics.classification import Label, label_set, majority_predictions

_LEAST_GAIN = 0.30
_LEVEL = 0.01


@dataclass(frozen=True)
class Assignment:
    """The best one-to-one assignment of labels.

    Attributes:
        predicted_of_gold: for each gold label, the predicted label that stands for it. A gold label is missing
            where there are fewer predicted labels.
        accuracy: the share of right rows under this assignment.
        accuracy_as_given: the share of right rows where each label stands for itself.
    """

    predicted_of_gold: dict[Label, Label]
    accuracy: float
    accuracy_as_given: float


def best_assignment(
    gold: Sequence[Label], predicted: Sequence[Label | None], head_labels: Sequence[Label] = ()
) -> Assignment:
    """The assignment of predicted to gold labels with the most right rows; of equal ones, one that moves fewest.

    Args:
        gold, predicted: labels of the rows; None is a failed row, which stays wrong.
        head_labels: all labels that can be predicted, where some of them may not occur.
    """
    names, found = label_set(gold), label_set(head_labels, predicted)
    gold_place = {label: k for k, label in enumerate(names)}
    found_place = {label: k for k, label in enumerate(found)}
    counts = np.zeros((len(names), len(found)))
    for label, prediction in zip(gold, predicted, strict=True):
        if prediction is not None:
            counts[gold_place[label], found_place[prediction]] += 1
    is_same = np.array([[label == other for other in found] for label in names], dtype=bool)
    # Less than one row for all labels together: it decides among equal assignments only.
    rows, columns = linear_sum_assignment(counts + is_same / (len(names) + 1), maximize=True)
    return Assignment(
        {names[k]: found[j] for k, j in zip(rows, columns, strict=True)},
        float(counts[rows, columns].sum()) / len(gold),
        float(counts[is_same].sum()) / len(gold),
    )


def suspicious_assignment(
    gold: Sequence[Label],
    predicted: Sequence[Label | None],
    head_labels: Sequence[Label] = (),
    half_width: float | None = None,
) -> Assignment | None:
    """The best assignment where the labels as given are almost surely in the wrong order, None otherwise.

    Three things must hold. It gains 30 points of accuracy. Its accuracy is above the share of the most frequent
    gold label by more than half its 95 % interval. And predictions that know nothing of the rows would reach it
    with any assignment at a probability under 1 %: the tail of a binomial distribution with that share, times the
    number of assignments (Bonferroni). The last decides where rows are few or labels many.

    Args:
        gold, predicted, head_labels: as for `best_assignment`.
        half_width: of the accuracy's interval; that of the normal approximation unless given.
    """
    best = best_assignment(gold, predicted, head_labels)
    num_rows, share = len(gold), gold.count(majority_predictions(gold)[0]) / len(gold)
    if half_width is None:
        half_width = 1.96 * math.sqrt(best.accuracy * (1 - best.accuracy) / num_rows)
    num_right = round(best.accuracy * num_rows)
    sizes = sorted([len(label_set(gold)), len(label_set(head_labels, predicted))])
    log_num_assignments = math.lgamma(sizes[1] + 1) - math.lgamma(sizes[1] - sizes[0] + 1)
    log_chance = float(binom.logsf(num_right - 1, num_rows, share)) + log_num_assignments
    is_suspicious = (
        best.accuracy - best.accuracy_as_given >= _LEAST_GAIN
        and best.accuracy - share > half_width
        and log_chance < math.log(_LEVEL)
    )
    return best if is_suspicious else None

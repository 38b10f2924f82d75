"""Counts of each label and what precision, recall and F1 are in terms of their sums.

Shapes: R resamples, N rows, K labels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from jobs.evaluate.metrics.weighted import Floats, ratio


def label_counts(gold_NK: csr_array, predicted_NK: csr_array) -> csr_array:
    """What each row adds to the counts `[N, 3 * K]`: labels that are right, that are gold, that are predicted."""
    return csr_array(hstack([gold_NK.multiply(predicted_NK), gold_NK, predicted_NK], format="csr"))


def split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums `[R, 3 * K]` as the numbers of right, gold and predicted labels, each `[R, K]`."""
    right, gold, predicted = np.split(sums, 3, axis=1)
    return right, gold, predicted


def macro_f1(sums: Floats) -> Floats:
    """The mean over labels of F1, which is 0 for a label that is neither gold nor predicted: `[R]`."""
    right, gold, predicted = split_counts(sums)
    return ratio(2 * right, gold + predicted).mean(axis=1)


def micro_f1(sums: Floats) -> Floats:
    """F1 of the labels' counts added up: `[R]`."""
    right, gold, predicted = (counts.sum(axis=1) for counts in split_counts(sums))
    return ratio(2 * right, gold + predicted)


def one_hot(codes_N: NDArray[np.int64], num_labels: int) -> csr_array:
    """Codes as rows of zeros and a one: `[N, num_labels]`; all zeros for a code of `num_labels`, a failed row."""
    rows = np.flatnonzero(codes_N < num_labels)
    return csr_array((np.ones(len(rows)), (rows, codes_N[rows])), shape=(len(codes_N), num_labels))

"""Weights of rows against scikit-learn."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from jobs.fit.labels.targets import Targets, row_weights

CODES = np.array([0, 0, 0, 1, 2, 2])
SETS = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], dtype=np.int8)


def test_balanced_single_labels() -> None:
    targets = Targets("single", ("a", "b", "c"), CODES)
    np.testing.assert_allclose(row_weights(targets, "balanced"), compute_sample_weight("balanced", CODES))


def test_balanced_sets_of_labels() -> None:
    targets = Targets("multi_label", ("a", "b"), SETS)
    for k in range(2):
        expected = compute_sample_weight("balanced", SETS[:, k])
        np.testing.assert_allclose(row_weights(targets, "balanced")[:, k], expected)


def test_weights_by_label() -> None:
    single, sets = Targets("single", ("a", "b", "c"), CODES), Targets("multi_label", ("a", "b"), SETS)
    np.testing.assert_array_equal(row_weights(single, {"b": 5}), [1, 1, 1, 5, 1, 1])
    np.testing.assert_array_equal(row_weights(sets, {"a": 3}), [[3, 1], [3, 1], [3, 1], [1, 1]])


def test_values_have_no_labels_to_weigh() -> None:
    np.testing.assert_array_equal(
        row_weights(Targets("regression", ("v",), np.arange(3.0)), "balanced"), np.ones(3)
    )


@pytest.mark.parametrize(
    ("targets", "known"),
    [
        (Targets("single", ("a", "b"), np.array([0, -1, 1])), [True, False, True]),
        (Targets("multi_label", ("a", "b"), np.array([[0, 0], [-1, -1], [1, 0]], np.int8)), [True, False, True]),
        (Targets("regression", ("v",), np.array([0.0, np.nan, 1.0])), [True, False, True]),
    ],
)
def test_known_rows(targets: Targets, known: list[bool]) -> None:
    assert targets.is_known.tolist() == known
    assert targets.of(np.flatnonzero(known)).is_known.all()

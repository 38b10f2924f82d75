"""The best assignment against all assignments, and when it is suspicious."""

import itertools
import random

import numpy as np
import pytest

pytest.importorskip("sklearn")

from jobs.evaluate.metrics.classification import Label
from jobs.evaluate.metrics.permutation import best_assignment, suspicious_assignment

NAMES: list[Label] = ["entailment", "neutral", "contradiction"]


def sides(
    num_rows: int, accuracy: float, names: list[Label], order: list[Label], seed: int = 0
) -> tuple[list[Label], list[Label]]:
    """Gold labels, and what a head of this accuracy predicts whose labels are named in another order."""
    rng = random.Random(seed)
    gold = rng.choices(names, k=num_rows)
    meant = [label if rng.random() < accuracy else rng.choice(names) for label in gold]
    return gold, [order[names.index(label)] for label in meant]


def test_no_assignment_is_better() -> None:
    for seed in range(1000):
        rng = random.Random(seed)
        names, found = NAMES[: rng.randint(1, 3)], [*NAMES, "LABEL_3"][rng.randint(0, 2) :]
        gold = [*names, *rng.choices(names, k=rng.randint(0, 12))]
        predicted = [rng.choice([*found, None]) for _ in gold]
        best = best_assignment(gold, predicted, found)
        padded = [*found, *(f"none {n}" for n in range(len(names)))]
        counts = [
            sum(
                dict(zip(names, order, strict=True))[label] == other
                for label, other in zip(gold, predicted, strict=True)
            )
            for order in itertools.permutations(padded, len(names))
        ]
        assert best.accuracy == pytest.approx(max(counts) / len(gold))
        as_named = [label == other for label, other in zip(gold, predicted, strict=True)]
        assert best.accuracy_as_given == pytest.approx(np.mean(as_named))
        assert (
            len(set(best.predicted_of_gold.values())) == len(best.predicted_of_gold) == min(len(names), len(found))
        )
        reached = [
            best.predicted_of_gold.get(label, "none") == other
            for label, other in zip(gold, predicted, strict=True)
        ]
        assert np.mean(reached) == pytest.approx(best.accuracy)


def test_labels_stay_where_nothing_is_gained_by_moving_them() -> None:
    best = best_assignment(["a", "b", "c"], ["a", None, None], ["a", "b", "c"])
    assert best.predicted_of_gold == {"a": "a", "b": "b", "c": "c"}
    assert best_assignment(["b"], [None], ["a", "b"]).predicted_of_gold == {"b": "b"}
    tied = best_assignment(["a", "a", "b", "b"], ["a", "b", "a", "b"])
    assert tied.predicted_of_gold == {"a": "a", "b": "b"}


@pytest.mark.parametrize("order", [NAMES[::-1], [NAMES[1], NAMES[2], NAMES[0]], ["LABEL_0", "LABEL_1", "LABEL_2"]])
def test_a_permuted_head_is_found(order: list[Label]) -> None:
    gold, predicted = sides(200, 0.9, NAMES, order)
    found = suspicious_assignment(gold, predicted, order)
    assert found is not None
    assert found.predicted_of_gold == dict(zip(NAMES, order, strict=True))
    assert found.accuracy > 0.85


def test_a_head_that_is_right_or_a_little_wrong_is_not() -> None:
    for accuracy in (0.0, 0.2, 0.5, 0.95):
        assert suspicious_assignment(*sides(300, accuracy, NAMES, NAMES)) is None


def test_a_permutation_that_gains_less_than_30_points_is_not() -> None:
    gold = ["a"] * 500 + ["b"] * 500
    predicted = ["b"] * 320 + ["a"] * 180 + ["b"] * 180 + ["a"] * 320
    assert best_assignment(gold, predicted).accuracy == 0.64
    assert suspicious_assignment(gold, predicted) is None  # 28 points
    predicted[:20] = ["b"] * 20
    predicted[320:340] = ["b"] * 20
    assert suspicious_assignment(gold, predicted) is not None  # 32 points


def test_an_accuracy_near_the_majority_share_is_not() -> None:
    """All rows get the rarer label: renaming it gains 60 points, and it still knows nothing."""
    gold = ["a"] * 80 + ["b"] * 20
    assert best_assignment(gold, ["b"] * 100).accuracy == 0.8
    assert suspicious_assignment(gold, ["b"] * 100) is None


def test_a_given_interval_is_heeded() -> None:
    gold, predicted = sides(200, 0.9, NAMES, NAMES[::-1])
    assert suspicious_assignment(gold, predicted, half_width=0.05) is not None
    assert suspicious_assignment(gold, predicted, half_width=0.7) is None


def test_few_rows_stay_silent_unless_certain() -> None:
    assert suspicious_assignment(["a", "b"], ["b", "a"]) is None
    assert suspicious_assignment(["a", "b", "a", "b", "a"], ["b", "a", "b", "a", "b"]) is None
    assert suspicious_assignment(["a", "b"] * 10, ["b", "a"] * 10) is not None


@pytest.mark.parametrize(("num_rows", "num_labels"), [(3, 2), (10, 3), (30, 17), (100, 17)])
def test_heads_that_know_nothing_are_hardly_ever_accused(num_rows: int, num_labels: int) -> None:
    """With 17 labels and 30 rows, the best assignment gains 30 points by chance in two of three cases."""
    generator = np.random.default_rng(0)
    num_accused = 0
    for _ in range(200):
        gold, predicted = (
            generator.choice(num_labels, num_rows, p=generator.dirichlet(np.full(num_labels, skew))).tolist()
            for skew in (3.0, 1.0)
        )
        num_accused += suspicious_assignment(gold, predicted, list(range(num_labels))) is not None
    assert num_accused <= 2


def test_failed_rows_stay_wrong() -> None:
    best = best_assignment(["a", "b", "a"], [None, "a", None])
    assert (best.accuracy, best.predicted_of_gold) == (pytest.approx(1 / 3), {"b": "a"})
    assert suspicious_assignment(["a", "b"] * 50, [None] * 100) is None

"""Figures of single labels against scikit-learn, which is given failed rows as rows of one more label."""

import random
import warnings
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import config_context, metrics

from jobs.evaluate.metrics.classification import (
    Label,
    accuracy_metric,
    classification_figures,
    f1_metric,
    is_correct,
    label_set,
    macro_f1_metric,
    majority_predictions,
    matthews_metric,
)

FAILED = "~failed"
Sides = tuple[list[Label], list[Label | None]]


def random_sides(seed: int) -> Sides:
    """Gold and predicted labels: names or numbers, few rows or many, with and without failed ones."""
    rng = random.Random(seed)
    names: list[Label] = ["no", "yes", "maybe", "Ja", "é", "never"][: rng.randint(1, 6)]
    if seed % 2:
        names = [10, 9, 2, 1, 0][: rng.randint(1, 5)]
    num_rows = rng.choice([1, 2, 5, 30])
    gold = rng.choices(names, k=num_rows)
    share, failed = rng.random(), rng.choice([0.0, 0.0, 0.2])
    predicted = [label if rng.random() < share else rng.choice(names) for label in gold]
    return gold, [None if rng.random() < failed else label for label in predicted]


def in_sklearn(sides: Sides) -> tuple[list[str], list[str], list[str]]:
    """Gold, predicted and all real labels by names that scikit-learn takes."""
    gold, predicted = ([FAILED if label is None else str(label) for label in side] for side in sides)
    return gold, predicted, sorted({*gold, *predicted} - {FAILED})


def resampled(side: Sequence[Label | None], weights: Sequence[float]) -> list[Label | None]:
    return [label for label, weight in zip(side, weights, strict=True) for _ in range(int(weight))]


def test_metrics_are_those_of_sklearn_on_rows_and_on_resampled_rows() -> None:
    for seed in range(1000):
        gold, predicted = random_sides(seed)
        positive = gold[0]
        found = [
            accuracy_metric(gold, predicted),
            matthews_metric(gold, predicted),
            f1_metric(gold, predicted, positive),
            macro_f1_metric(gold, predicted),
        ]
        names = sorted({*gold, *predicted} - {None}, key=str)
        weights = np.ones(len(gold))
        if seed % 4 > 1:
            weights = np.random.default_rng(seed).multinomial(len(gold), weights / len(gold)).astype(float)
        # Numbers, since scikit-learn is slow with names; failed rows are one more label.
        rows = [
            np.array([len(names) if label is None else names.index(label) for label in resampled(side, weights)])
            for side in (gold, predicted)
        ]
        with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
            warnings.simplefilter("ignore")
            by_label = metrics.f1_score(*rows, labels=range(len(names)), average=None, zero_division=0)
            expected = [
                metrics.accuracy_score(*rows),
                metrics.matthews_corrcoef(*rows),
                by_label[names.index(positive)],
                by_label.mean(),
            ]
        values = [metric.of_weights(weights[None])[0] for metric in found]
        assert values == pytest.approx(expected, abs=1e-12), seed


def test_figures_are_those_of_sklearn_and_of_the_metrics() -> None:
    for seed in range(50):
        gold, predicted = random_sides(seed)
        figures = classification_figures(gold, predicted)
        *rows, names = in_sklearn((gold, predicted))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_label = metrics.precision_recall_fscore_support(*rows, labels=names, zero_division=0)
            micro_f1 = metrics.f1_score(*rows, average="micro")
        labels = sorted(figures.labels, key=lambda label: str(label.label))
        assert [str(label.label) for label in labels] == names
        assert [label.precision for label in labels] == pytest.approx(by_label[0])
        assert [label.recall for label in labels] == pytest.approx(by_label[1])
        assert [label.f1 for label in labels] == pytest.approx(by_label[2])
        assert [label.support for label in labels] == by_label[3].tolist()
        assert [label.num_predicted for label in labels] == [rows[1].count(name) for name in names]
        assert figures.micro_f1 == pytest.approx(micro_f1)
        assert figures.micro_f1 == pytest.approx(figures.accuracy)
        assert figures.macro_f1 == pytest.approx(macro_f1_metric(gold, predicted).value(), abs=1e-12)
        assert figures.matthews == pytest.approx(matthews_metric(gold, predicted).value(), abs=1e-12)
        assert figures.accuracy == accuracy_metric(gold, predicted).value()


def test_figures_by_hand() -> None:
    figures = classification_figures(["a", "a", "a", "b"], ["a", None, "b", "b"])
    assert (figures.num_rows, figures.num_failed) == (4, 1)
    assert figures.accuracy == figures.micro_f1 == 0.5
    assert figures.confusion == ((1, 1, 1), (0, 1, 0))
    a, b = figures.labels
    assert (a.precision, a.recall, a.support, a.num_predicted) == (1.0, pytest.approx(1 / 3), 3, 1)
    assert (b.precision, b.recall, b.support, b.num_predicted) == (0.5, 1.0, 1, 2)
    assert figures.macro_f1 == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_labels_that_never_occur_count_in_the_macro_average_where_named() -> None:
    gold, predicted = ["a", "b"], ["a", "b"]
    assert classification_figures(gold, predicted).macro_f1 == 1.0
    figures = classification_figures(gold, predicted, labels=["c"])
    assert figures.macro_f1 == macro_f1_metric(gold, predicted, labels=["c"]).value() == pytest.approx(2 / 3)
    assert figures.confusion == ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [([1], [1]), ([1], [0]), ([1], [None]), ([1] * 5, [1] * 5), ([1] * 5, [None] * 5), ([0, 1], [1, 1])],
)
def test_matthews_is_0_where_a_side_is_one_class(gold: list[Label], predicted: list[Label | None]) -> None:
    assert matthews_metric(gold, predicted).value() == 0.0
    assert classification_figures(gold, predicted).matthews == 0.0


def test_no_warning_of_many_labels_escapes() -> None:
    gold = list(range(60))
    assert classification_figures(gold, gold).accuracy == 1.0


def test_majority() -> None:
    gold: list[Label] = [1, 1, 0, 1, 0]
    predictions = majority_predictions(gold)
    assert predictions == [1] * 5
    assert accuracy_metric(gold, predictions).value() == 0.6
    assert f1_metric(gold, predictions, positive=1).value() == pytest.approx(2 * 0.6 / 1.6)
    assert matthews_metric(gold, predictions).value() == 0.0
    assert majority_predictions(["b", "a"]) == ["a", "a"]  # equally frequent: the first


def test_numbers_are_sorted_as_numbers_and_rows_compared_by_label() -> None:
    assert label_set([10, 9], [2, None]) == [2, 9, 10]
    assert is_correct(["a", "b", "c"], ["a", None, "b"]).tolist() == [True, False, False]

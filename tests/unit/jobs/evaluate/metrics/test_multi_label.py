"""Figures of several labels a row against scikit-learn."""

import random

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import config_context, metrics

from jobs.evaluate.metrics.multi_label import (
    macro_average_precision_metric,
    macro_f1_metric,
    micro_f1_metric,
    multi_label_figures,
)

Rows = tuple[list[list[str]], list[list[float] | None], list[str]]


def random_rows(seed: int) -> Rows:
    """Gold labels, scores of which some are equal or exactly 0.5, and the head's labels."""
    rng = random.Random(seed)
    labels = ["c", "b", "a"][: rng.randint(2, 3)]
    gold = [[label for label in labels if rng.random() < 0.35] for _ in range(rng.choice([1, 3, 20]))]
    scores = [[rng.choice([0.1, 0.3, 0.5, 0.7, rng.random()]) for _ in labels] for _ in gold]
    return gold, [None if rng.random() < 0.1 else row for row in scores], labels


def matrices(rows: Rows, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gold, scores, labels = rows
    gold_matrix = np.array([[label in row for label in labels] for row in gold])
    score_matrix = np.array([[-1.0] * len(labels) if row is None else row for row in scores])
    repeats = weights.astype(int)
    return gold_matrix.repeat(repeats, axis=0), score_matrix.repeat(repeats, axis=0)


@config_context(skip_parameter_validation=True)
def test_metrics_are_those_of_sklearn_on_rows_and_on_resampled_rows() -> None:
    for seed in range(1000):
        rows = random_rows(seed)
        weights = np.ones(len(rows[0]))
        if seed % 2:
            weights = np.random.default_rng(seed).multinomial(len(weights), weights / len(weights)).astype(float)
        gold, scores = matrices(rows, weights)
        precisions = [
            metrics.average_precision_score(gold[:, k], scores[:, k]) for k in np.flatnonzero(gold.any(axis=0))
        ]
        expected = [
            *(
                metrics.f1_score(gold, scores >= 0.5, average=average, zero_division=0)
                for average in ("micro", "macro")
            ),
            np.mean(precisions) if precisions else 0.0,
        ]
        found = [
            metric(*rows).of_weights(weights[None])[0]
            for metric in (micro_f1_metric, macro_f1_metric, macro_average_precision_metric)
        ]
        assert found == pytest.approx(expected, abs=1e-12), seed


def test_figures_are_those_of_the_metrics() -> None:
    for seed in range(50):
        rows = random_rows(seed)
        figures = multi_label_figures(*rows)
        assert figures.micro_f1 == pytest.approx(micro_f1_metric(*rows).value(), abs=1e-12)
        assert figures.macro_f1 == pytest.approx(macro_f1_metric(*rows).value(), abs=1e-12)
        expected = macro_average_precision_metric(*rows).value()
        assert figures.macro_average_precision == pytest.approx(expected, abs=1e-12)
        assert figures.macro_f1 == pytest.approx(np.mean([label.f1 for label in figures.labels]))
        assert figures.num_failed == sum(row is None for row in rows[1])


def test_figures_by_hand() -> None:
    gold = [["a"], ["a", "b"], [], ["b"]]
    figures = multi_label_figures(gold, [[0.5, 0.2, 0.0], [0.9, 0.6, 0.0], [0.8, 0.1, 0.5], None], ["a", "b", "c"])
    a, b, c = figures.labels
    assert (a.label, a.precision, a.recall, a.support, a.num_predicted) == ("a", pytest.approx(2 / 3), 1.0, 2, 3)
    assert a.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert b.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)  # the failed row comes last
    assert (c.average_precision, c.f1, c.num_predicted) == (None, 0.0, 1)
    assert (figures.num_failed, figures.num_labels_left_out) == (1, 1)
    assert figures.macro_average_precision == pytest.approx((5 / 6 + 3 / 4) / 2)
    assert figures.micro_f1 == pytest.approx(2 * 3 / (4 + 5))


def test_one_label_and_no_positive() -> None:
    figures = multi_label_figures([[], []], [[0.1], [0.2]], ["a"])
    assert (figures.micro_f1, figures.macro_f1, figures.macro_average_precision) == (0.0, 0.0, 0.0)
    assert figures.num_labels_left_out == 1
    assert multi_label_figures([["a"], []], [[0.9], [0.2]], ["a"]).micro_f1 == 1.0


def test_unknown_gold_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels that the head does not have: \['x', 'y'\]"):
        multi_label_figures([["y"], ["a", "x"]], [[0.1], [0.2]], ["a"])

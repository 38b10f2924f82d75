"""Errors and correlations against NumPy and SciPy."""

import random
import warnings

import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy import stats

from jobs.evaluate.metrics.regression import (
    kendall_metric,
    mae_metric,
    pearson_metric,
    regression_figures,
    spearman_metric,
)


def random_sides(seed: int) -> tuple[list[float], list[float | None]]:
    """Gold values, half of the time with many equal ones, and predictions, of which some failed."""
    rng = random.Random(seed)
    num_rows = rng.choice([2, 3, 10, 60])
    gold = [rng.choice([0.0, 1.5, 5.0]) if seed % 2 else rng.gauss(1e3, 2) for _ in range(num_rows)]
    predicted = [rng.choice([value + rng.gauss(0, 2), round(value)]) for value in gold]
    return gold, [None if rng.random() < 0.1 else value for value in predicted]


def completed(predicted: list[float | None], gold: list[float]) -> np.ndarray:
    known = [value for value in predicted if value is not None] or gold
    return np.array([np.mean(known) if value is None else value for value in predicted])


def correlation(function: object, one: np.ndarray, other: np.ndarray) -> float:
    if len(set(one)) == 1 or len(set(other)) == 1:
        return 0.0
    return function(one, other).statistic  # type: ignore[operator]


def test_metrics_are_those_of_scipy_on_rows_and_on_resampled_rows() -> None:
    for seed in range(1000):
        gold, predicted = random_sides(seed)
        weights = np.ones(len(gold))
        if seed % 4 > 1:
            weights = np.random.default_rng(seed).multinomial(len(gold), weights / len(gold)).astype(float)
        rows = [np.repeat(side, weights.astype(int)) for side in (np.array(gold), completed(predicted, gold))]
        expected = [
            np.abs(rows[0] - rows[1]).mean(),
            correlation(stats.pearsonr, *rows),
            correlation(stats.spearmanr, *rows),
        ]
        found = [
            metric(gold, predicted).of_weights(weights[None])[0]
            for metric in (mae_metric, pearson_metric, spearman_metric)
        ]
        assert found == pytest.approx(expected, abs=1e-9), seed


def tau_b_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    """Pairs in the same order less pairs in the opposite one, by the pairs without a tie on each side."""
    signs = [np.sign(side[:, None] - side)[np.triu_indices(len(side), k=1)] for side in (one, other)]
    num_untied = [np.count_nonzero(sign) for sign in signs]
    return float((signs[0] * signs[1]).sum() / np.sqrt(num_untied[0] * num_untied[1])) if all(num_untied) else 0.0


def test_kendall_counts_pairs_of_rows_and_of_resampled_rows() -> None:
    for seed in range(200):
        gold, predicted = random_sides(seed)
        weights = np.ones(len(gold))
        if seed % 4 > 1:
            weights = np.random.default_rng(seed).multinomial(len(gold), weights / len(gold)).astype(float)
        rows = [np.repeat(side, weights.astype(int)) for side in (np.array(gold), completed(predicted, gold))]
        found = kendall_metric(gold, predicted).of_weights(weights[None])[0]
        assert found == pytest.approx(tau_b_by_hand(*rows), abs=1e-12), seed


def test_figures_are_those_of_the_metrics() -> None:
    for seed in range(150):
        gold, predicted = random_sides(seed)
        figures = regression_figures(gold, predicted)
        assert figures.mae == pytest.approx(mae_metric(gold, predicted).value(), abs=1e-12)
        assert figures.pearson == pytest.approx(pearson_metric(gold, predicted).value(), abs=1e-9)
        assert figures.spearman == pytest.approx(spearman_metric(gold, predicted).value(), abs=1e-12)
        assert figures.num_failed == sum(value is None for value in predicted)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]),
        ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]),
        ([1.0, 2.0], [None, None]),
        ([1.0, 2.0], [None, 5.0]),
        ([1.0, 2.0], [1e8, 1e8 + 1e-8]),  # nothing but rounding
        ([1.0], [2.0]),
    ],
)
def test_a_constant_correlates_with_nothing(gold: list[float], predicted: list[float | None]) -> None:
    figures = regression_figures(gold, predicted)
    assert figures.pearson == pearson_metric(gold, predicted).value() == 0.0
    assert figures.spearman == 0.0
    assert np.isfinite(figures.mae)


def test_failed_rows_have_the_mean_prediction() -> None:
    gold, predicted = [1.0, 2.0, 3.0, 4.0], [2.0, None, float("nan"), 6.0]
    figures = regression_figures(gold, predicted)
    assert figures.num_failed == 2
    assert figures.mae == pytest.approx((1 + 2 + 1 + 2) / 4)
    assert figures.spearman == pytest.approx(stats.spearmanr(gold, [2, 4, 4, 6]).statistic)


def test_where_all_failed_the_gold_mean_stands_in() -> None:
    figures = regression_figures([1.0, 3.0], [None, None])
    assert (figures.num_failed, figures.mae, figures.pearson) == (2, 1.0, 0.0)


def test_resamples_of_one_row_drawn_many_times_are_constant() -> None:
    weights = np.eye(7)[:3] * 7
    gold = [0.1, 0.7, 1.3, 1e9, 5.0, 2.0, 1.1]
    for metric in (pearson_metric, spearman_metric):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert metric(gold, [value / 3 for value in gold]).of_weights(weights).tolist() == [0.0, 0.0, 0.0]

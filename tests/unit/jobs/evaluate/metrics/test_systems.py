"""Metrics of systems against means and pairs that are counted by hand, and SciPy."""

import itertools
import random

import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy.stats import pearsonr

from jobs.evaluate.metrics.systems import SystemRows, system_accuracy_metric, system_pearson_metric


@pytest.mark.parametrize("seed", range(100))
def test_pearson_and_pairs_of_means_on_rows_and_on_resampled_rows(seed: int) -> None:
    chance = random.Random(seed)
    num_rows = chance.choice([12, 40])
    systems = [chance.choice("abcde") for _ in range(num_rows)]
    gold = [ord(name) / 10 + chance.gauss(0, 2) for name in systems]
    predicted = [value / 3 + chance.gauss(0, 1) for value in gold]
    times = [1] * num_rows if seed % 2 else [chance.randrange(3) for _ in range(num_rows)]
    drawn = [n for n, number in enumerate(times) for _ in range(number)]
    names = sorted({systems[n] for n in drawn})
    means = {
        name: [np.mean([side[n] for n in drawn if systems[n] == name]) for side in (gold, predicted)]
        for name in names
    }
    pairs = list(itertools.combinations(names, 2))
    right = sum(
        np.sign(means[one][0] - means[other][0]) == np.sign(means[one][1] - means[other][1])
        for one, other in pairs
    )
    rows, weights = SystemRows(gold, predicted, systems), np.array([times], dtype=np.float64)
    assert system_accuracy_metric(rows).of_weights(weights)[0] == pytest.approx(right / len(pairs))
    expected = pearsonr(*zip(*means.values(), strict=True)).statistic
    assert system_pearson_metric(rows).of_weights(weights)[0] == pytest.approx(expected)


def test_without_a_second_system_there_is_nothing_to_compare() -> None:
    rows = SystemRows([1.0, 2.0], [1.0, 2.0], ["a", "a"])
    assert system_accuracy_metric(rows).value() == system_pearson_metric(rows).value() == 0.0


def test_equal_means_are_right_only_where_both_sides_are_equal() -> None:
    rows = SystemRows([1.0, 1.0, 2.0], [0.5, 0.5, 0.4], ["a", "b", "c"])
    assert system_accuracy_metric(rows).value() == pytest.approx(1 / 3)

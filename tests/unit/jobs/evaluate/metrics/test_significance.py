"""Tests of differences against their definitions."""

import math

import numpy as np
import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics.bootstrap import Draws, interval, resample
from jobs.evaluate.metrics.significance import Difference, Flips, flips, mcnemar, paired_bootstrap
from jobs.evaluate.metrics.weighted import mean_metric


def compared(first: np.ndarray, second: np.ndarray) -> Difference:
    metrics = [mean_metric(first), mean_metric(second)]
    return paired_bootstrap(metrics[0].value(), metrics[1].value(), *resample(metrics, Draws(len(first))))


def test_flips_are_rows_that_one_side_alone_has_right() -> None:
    flipped = flips([True, True, False, False, False], [True, False, True, False, True])
    assert flipped == Flips(won=[2, 4], lost=[1])


def test_mcnemar_is_the_two_sided_binomial_tail() -> None:
    for num_won in range(12):
        for num_lost in range(12):
            num = num_won + num_lost
            tail = sum(math.comb(num, k) for k in range(min(num_won, num_lost) + 1)) / 2**num
            p_value = mcnemar(Flips(list(range(num_won)), list(range(num_lost))))
            assert p_value == pytest.approx(min(1.0, 2 * tail)), (num_won, num_lost)


def test_equal_systems_do_not_differ() -> None:
    is_right = np.arange(50) % 3 == 0
    assert compared(is_right, is_right) == Difference(0.0, 0.0, 0.0, 1.0)
    assert mcnemar(flips(is_right, is_right)) == 1.0


def test_the_second_system_is_measured_against_the_first() -> None:
    generator = np.random.default_rng(0)
    worse, better = generator.random(400) < 0.5, generator.random(400) < 0.7
    forth, back = compared(worse, better), compared(better, worse)
    assert forth.difference == pytest.approx(better.mean() - worse.mean())
    assert 0 < forth.low < forth.difference < forth.high
    assert (back.difference, back.low, back.high) == pytest.approx((-forth.difference, -forth.high, -forth.low))
    assert forth.p_value == back.p_value < 0.01


def test_p_is_near_that_of_mcnemar() -> None:
    generator = np.random.default_rng(2)
    for _ in range(20):
        first = generator.random(3000) < 0.6
        second = np.where(generator.random(3000) < 0.2, generator.random(3000) < 0.75, first)
        exact = mcnemar(flips(first, second))
        assert compared(first, second).p_value == pytest.approx(exact, abs=0.06)


def test_p_says_whether_the_interval_holds_zero() -> None:
    generator = np.random.default_rng(3)
    for _ in range(20):
        differences = generator.normal(generator.normal(0, 2), 1.0, size=999)
        found = paired_bootstrap(0.0, 0.0, np.zeros(999), differences)
        assert (found.low, found.high) == interval(differences)
        if abs(found.p_value - 0.05) > 0.005:
            assert (found.low <= 0 <= found.high) == (found.p_value > 0.05)


def test_paired_rows_make_a_narrower_interval_than_rows_apart() -> None:
    generator = np.random.default_rng(4)
    first = generator.random(500) < 0.6
    second = np.where(generator.random(500) < 0.05, True, first)
    paired = compared(first, second)
    apart = [resample([mean_metric(side)], Draws(500, stream=str(n)))[0] for n, side in enumerate((first, second))]
    low, high = interval(apart[1] - apart[0])
    assert paired.high - paired.low < (high - low) / 2

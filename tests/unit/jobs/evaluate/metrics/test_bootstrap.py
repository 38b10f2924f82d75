"""Draws are the same whenever they are asked for, and intervals are as wide as they should be."""

import numpy as np
import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics import bootstrap
from jobs.evaluate.metrics.bootstrap import Draws, interval, resample
from jobs.evaluate.metrics.weighted import mean_metric, metric_of_indices, ratio, summed_metric


def weights_of(draws: Draws) -> np.ndarray:
    return np.concatenate(list(draws.weights()))


def test_each_resample_has_as_many_rows() -> None:
    weights = weights_of(Draws(7, num_resamples=50))
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == np.round(weights)).all()
    assert weights.min() == 0


def test_draws_are_the_same_again_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = Draws(7, num_resamples=50, seed=3)
    whole = weights_of(draws)
    assert (weights_of(draws) == whole).all()
    monkeypatch.setattr(bootstrap, "_BLOCK_SIZE", 20)
    blocks = list(draws.weights())
    assert {len(block) for block in blocks} == {2}
    assert (np.concatenate(blocks) == whole).all()


def test_seeds_and_streams_draw_differently() -> None:
    drawn = [
        weights_of(draws) for draws in (Draws(9), Draws(9, seed=1), Draws(9, stream="de"), Draws(9, stream="fr"))
    ]
    for n, one in enumerate(drawn):
        assert all((one != other).any() for other in drawn[n + 1 :])


def test_groups_are_drawn_whole() -> None:
    groups = ["b", "b", "a", "c", "b", "c"]
    weights = weights_of(Draws(6, groups=groups, num_resamples=200))
    assert (weights[:, [0, 0, 3]] == weights[:, [1, 4, 5]]).all()
    assert (weights[:, 0] + weights[:, 2] + weights[:, 3] == 3).all()
    assert len(set(weights.sum(axis=1))) > 1  # groups differ in size


def test_equal_partitions_are_drawn_alike() -> None:
    one, other = (weights_of(Draws(4, groups=groups)) for groups in ([5, 5, 2, 9], ["x", "x", "z", "y"]))
    assert (one == other).all()


def test_each_row_in_its_own_group_is_a_draw_of_rows() -> None:
    assert (weights_of(Draws(6, groups=range(6))) == weights_of(Draws(6))).all()


def test_metrics_of_indices_and_of_weights_agree() -> None:
    generator = np.random.default_rng(0)
    values, others = generator.random((2, 40))
    metrics = [
        mean_metric(values),
        metric_of_indices(40, lambda rows: float(values[rows].mean())),
        summed_metric(np.stack([values, others], axis=1), lambda sums: ratio(sums[:, 0], sums[:, 1])),
        metric_of_indices(40, lambda rows: float(values[rows].sum() / others[rows].sum())),
    ]
    resampled = resample(metrics, Draws(40, num_resamples=100, groups=[n // 3 for n in range(40)]))
    assert resampled.shape == (4, 100)
    assert resampled[0] == pytest.approx(resampled[1])
    assert resampled[2] == pytest.approx(resampled[3])
    assert metrics[2].value() == pytest.approx(values.sum() / others.sum())


def test_ratios_with_denominator_0_are_0() -> None:
    assert ratio(np.array([1.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])).tolist() == [0.0, 0.0, 1.5]


def test_the_interval_is_that_of_the_normal_distribution_where_rows_are_many() -> None:
    is_right = np.arange(2000) % 10 < 7
    low, high = interval(resample([mean_metric(is_right)], Draws(2000))[0])
    half_width = 1.96 * np.sqrt(0.7 * 0.3 / 2000)
    assert low == pytest.approx(0.7 - half_width, abs=half_width / 10)
    assert high == pytest.approx(0.7 + half_width, abs=half_width / 10)


def test_95_of_100_intervals_hold_the_truth() -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for n in range(200):
        values = generator.normal(2.0, 1.0, size=60)
        low, high = interval(resample([mean_metric(values)], Draws(60, num_resamples=300, seed=n))[0])
        hits += low <= 2.0 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_rows_that_are_alike_within_groups_widen_the_interval() -> None:
    is_right = np.repeat(np.arange(100) % 2, 20)
    groups = np.repeat(np.arange(100), 20).tolist()
    widths = []
    for draws in (Draws(2000), Draws(2000, groups=groups)):
        low, high = interval(resample([mean_metric(is_right)], draws)[0])
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(20), rel=0.15)


def test_parallel_languages_are_as_uncertain_as_one() -> None:
    """Where a row is right in all languages or in none, fifteen say no more than one."""
    language = mean_metric(np.arange(400) % 3 > 0)
    one, *_ = resampled = resample([language] * 15, Draws(400))
    assert interval(resampled.mean(axis=0)) == pytest.approx(interval(one))
    apart = [resample([language], Draws(400, stream=str(n)))[0] for n in range(15)]
    low, high = interval(np.mean(apart, axis=0))
    assert high - low == pytest.approx((interval(one)[1] - interval(one)[0]) / np.sqrt(15), rel=0.2)


def test_one_row_has_no_width() -> None:
    assert interval(resample([mean_metric([1.0])], Draws(1))[0]) == (1.0, 1.0)


def test_draws_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="a metric over 2 rows, but draws of 3"):
        resample([mean_metric([0, 0, 1]), mean_metric([0, 1])], Draws(3))


def test_floats_are_plain() -> None:
    metric = mean_metric([True, False])
    assert type(metric.value()) is float
    assert [type(bound) for bound in interval(resample([metric], Draws(2))[0])] == [float, float]

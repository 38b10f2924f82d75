"""Learning curves."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.evaluate.results import Measured
from jobs.fit.search.learning_curve import learning_curve, nested_subsets


def curve_of(values: list[float], spread: float = 0.0) -> tuple[float, float, str]:
    generator = np.random.default_rng(0)
    left = iter(values)
    subsets = [np.arange(n) for n in (10, 20, 40, 80)]

    def measured(rows: NDArray[np.int64]) -> Measured:
        value = next(left)
        return Measured(value, value + spread * generator.normal(size=500))

    curve = learning_curve(subsets, measured)
    assert [point.num_rows for point in curve.points] == [10, 20, 40, 80]
    return curve.last_gain.value, curve.next_gain, curve.outlook


def test_gains_that_halve_are_extrapolated() -> None:
    last, following, outlook = curve_of([0.5, 0.7, 0.8, 0.85])
    assert [last, following] == pytest.approx([0.05, 0.025])
    assert "about +2.5" in outlook


def test_gains_that_grow_are_not_extrapolated_to_grow_on() -> None:
    assert curve_of([0.5, 0.5, 0.6, 0.8])[1] == pytest.approx(0.2)


def test_a_gain_within_chance_promises_nothing() -> None:
    outlook = curve_of([0.5, 0.7, 0.8, 0.81], spread=0.05)[2]
    assert "within chance" in outlook
    assert "would bring" not in outlook


def test_subsets_are_nested_and_of_whole_groups() -> None:
    groups = [n // 3 for n in range(2400)]
    subsets = nested_subsets(groups, 0)
    assert [len(rows) for rows in subsets] == [300, 600, 1200, 2400]
    for small, large in pairwise(subsets):
        assert set(small) < set(large)
    assert all(len(rows) == 3 * len({groups[row] for row in rows}) for rows in subsets)

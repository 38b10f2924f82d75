"""Means and scales in blocks."""

import numpy as np

from jobs.fit.fitted_head import Floats
from jobs.fit.training.scaling import Scaling, scaling_of


def standardised(scaling: Scaling, rows: Floats) -> Floats:
    out = np.empty_like(rows)
    scaling.write(rows, out)
    return out


def test_blocks_give_what_all_rows_give_though_the_mean_is_far_out() -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 3)) * [1, 1e-3, 50] + [1e4, 0, -7]
    scaling = scaling_of(np.array_split(rows, 7))
    np.testing.assert_allclose(scaling.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaling.inverse, 1 / rows.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(standardised(scaling, rows).std(axis=0), 1, rtol=1e-6)


def test_constants_count_as_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    rows[:, 0] = 0
    rows[:, 1] = np.float32(300.1)
    rows[::2, 1] = np.nextafter(np.float32(300.1), np.float32(301))
    scaling = scaling_of([rows])
    np.testing.assert_array_equal(scaling.inverse[:2], 0)
    np.testing.assert_array_equal(standardised(scaling, rows)[:, :2], 0)
    weight, bias = scaling.folded(np.ones((1, 3)), np.zeros(1))
    np.testing.assert_array_equal(weight[0, :2], 0)
    expected = standardised(scaling, rows).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows @ weight.T + bias, expected, atol=1e-12)

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks import window_merging
from pipeline.tasks.window_merging import weighted_mean, window_maximum

NUM_ROWS = 5
VALUES = st.floats(-(2.0**100), 2.0**100, width=32)
WINDOWS = st.lists(
    st.tuples(st.lists(VALUES, min_size=3, max_size=3), st.integers(0, NUM_ROWS - 1), st.integers(1, 512)),
    max_size=12,
)
Window = tuple[list[float], int, int]


def arrays(windows: list[Window]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.array([values for values, _, _ in windows], dtype=np.float32).reshape(len(windows), 3)
    row = np.array([row for _, row, _ in windows], dtype=np.int32)
    return values, row, np.array([weight for _, _, weight in windows], dtype=np.int32)


def merged(windows: list[Window]) -> dict[int, list[float]]:
    means, rows = weighted_mean(*arrays(windows), NUM_ROWS)
    assert means.dtype == np.float32
    assert rows.dtype == np.int32
    return dict(zip(rows.tolist(), means.tolist(), strict=True))


@given(WINDOWS)
def test_it_is_the_weighted_mean_of_each_row(windows: list[Window]) -> None:
    found = merged(windows)
    assert list(found) == sorted({row for _, row, _ in windows})
    for row, mean in found.items():
        own = [(values, weight) for values, r, weight in windows if r == row]
        total = sum(weight for _, weight in own)
        for column in range(3):
            products = [Fraction(values[column]) * weight for values, weight in own]
            exact = sum(products, Fraction(0)) / total
            # To float32's precision, and where large summands cancel out, of the largest of them.
            largest = max(map(abs, products)) / total
            assert (
                abs(Fraction(mean[column]) - exact) <= abs(exact) / 2**24 + largest / 2**40 + Fraction(2) ** -149
            )


@given(WINDOWS, st.randoms(use_true_random=False))
def test_neither_order_nor_neighbours_matter(windows: list[Window], random: Random) -> None:
    found = merged(windows)
    shuffled = windows.copy()
    random.shuffle(shuffled)
    assert merged(shuffled) == found
    for row, mean in found.items():
        assert merged([window for window in windows if window[1] == row])[row] == mean


def test_order_does_not_matter_where_large_windows_cancel_out() -> None:
    """What a plain float64 sum leaves of these depends on the order, and shows in float32."""
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.integers(-4, 4, size=(10_000, 1))
    half = (rng.normal(size=(10_000, 2)) * scale).astype(np.float32)
    values = np.concatenate([half, -half, np.full((1, 2), 2**-10, dtype=np.float32)])
    weight = np.tile(rng.integers(1, 500, 10_000).astype(np.int32), 2)
    weight, row = np.append(weight, np.int32(1)), np.zeros(len(values), dtype=np.int32)
    means, plain = [], set()
    for _ in range(8):
        order = rng.permutation(len(values))
        means.append(weighted_mean(values[order], row, weight[order], 1)[0])
        sums = np.cumsum(values[order].astype(np.float64) * weight[order, None], axis=0)[-1]
        plain.add((sums / weight.sum()).astype(np.float32).tobytes())
    assert len(plain) > 1
    assert {mean.tobytes() for mean in means} == {means[0].tobytes()}
    assert means[0] == pytest.approx(2**-10 / weight.sum(), rel=0.05)


def test_a_single_window_comes_back_untouched() -> None:
    values = np.array([[1e-45, np.inf, -0.0], [3, 4, 5]], dtype=np.float32)
    means, rows = weighted_mean(values, np.array([4, 1], dtype=np.int32), np.array([0, 7], dtype=np.int32), 6)
    assert rows.tolist() == [1, 4]
    assert means.tobytes() == values[::-1].tobytes()


def test_equal_windows_have_themselves_as_mean() -> None:
    values = np.tile(np.float32([0.1, -1 / 3, 1e-30]), (7, 1))
    means, _ = weighted_mean(values, np.zeros(7, dtype=np.int32), np.arange(1, 8, dtype=np.int32), 1)
    assert means.tobytes() == values[:1].tobytes()


def test_what_is_no_number_stays_in_its_place() -> None:
    values = np.array([[1, np.nan, 2, np.inf], [3, 4, 2, 1], [5, 6, 7, 8], [7, 6, 5, 4]], dtype=np.float32)
    means, _ = weighted_mean(values, np.array([0, 0, 1, 1], dtype=np.int32), np.full(4, 9, dtype=np.int32), 2)
    assert means == pytest.approx(np.array([[2, np.nan, 2, np.inf], [6, 6, 6, 6]]), nan_ok=True)


def test_blocks_of_columns_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, 11)).astype(np.float32)
    row, weight = np.repeat(np.arange(3, dtype=np.int32), 3), rng.integers(1, 9, 9).astype(np.int32)
    whole, _ = weighted_mean(values, row, weight, 3)
    monkeypatch.setattr(window_merging, "COLUMN_BLOCK", 4)
    assert weighted_mean(values, row, weight, 3)[0].tobytes() == whole.tobytes()
    expected = [
        np.average(values[row == i].astype(np.float64), axis=0, weights=weight[row == i]) for i in range(3)
    ]
    assert whole == pytest.approx(np.array(expected), rel=1e-6)


@given(WINDOWS)
def test_the_maximum_is_that_of_each_row(windows: list[Window]) -> None:
    values, row_of_window, _ = arrays(windows)
    maxima, rows = window_maximum(values, row_of_window)
    assert rows.tolist() == sorted({row for _, row, _ in windows})
    for row, found in zip(rows.tolist(), maxima.tolist(), strict=True):
        own = [values for values, r, _ in windows if r == row]
        assert found == [max(column) for column in zip(*own, strict=True)]


def test_no_windows_are_no_rows() -> None:
    means, rows = weighted_mean(
        np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), 3
    )
    assert means.shape == (0, 4)
    assert rows.tolist() == []

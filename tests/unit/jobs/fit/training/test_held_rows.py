"""Rows that are held, and some of them that are taken, in memory and in a file."""

from pathlib import Path

import numpy as np
import pytest

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.training.held_rows import View, hold_rows, view_blocks
from jobs.fit.training.scaling import scaling_of

ROWS, PLACES = np.arange(100, 900, 2), np.arange(0, 400, 3)


@pytest.mark.parametrize("max_bytes", [2**30, 0])
def test_rows_that_are_taken_are_those_that_are_read(max_bytes: int, tmp_path: Path) -> None:
    features = FeatureArrays({2: np.random.default_rng(0).normal(3, 2, (1000, 2560)).astype(np.float16)})
    view = View((2,))
    scaling = scaling_of(view_blocks(features, view, ROWS))
    held = hold_rows(features, view, scaling, ROWS, 2**30)
    taken = held.taken(PLACES, max_bytes, tmp_path)
    again = hold_rows(features, view, scaling, ROWS[PLACES], 2**30)
    np.testing.assert_array_equal(taken.values, again.values)
    assert isinstance(taken.values, np.memmap) == (max_bytes == 0)
    assert list(tmp_path.iterdir()) == [], "the file has no name"

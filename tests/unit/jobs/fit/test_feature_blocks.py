"""Features in memory, in blocks."""

import numpy as np

from jobs.fit.feature_blocks import FeatureArrays, Features


def test_blocks_are_the_rows_asked_for() -> None:
    values = np.random.default_rng(0).normal(size=(10, 3))
    features: Features = FeatureArrays({4: values, 1: -values}, rows_per_block=2)
    rows = np.array([1, 2, 5, 7, 9])
    blocks = list(features.blocks(4, rows))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), values[rows].astype(np.float32))
    assert (features.num_rows, features.layers, features.size) == (10, (1, 4), 3)

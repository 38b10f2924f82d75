"""Reliability against a loop over rows."""

import random

import numpy as np
import pytest

from jobs.evaluate.metrics.calibration import Bin, calibration


def test_bins_and_error_are_those_of_a_loop() -> None:
    for seed in range(1000):
        rng = random.Random(seed)
        num_bins = rng.choice([1, 10, 15])
        scores = [rng.choice([rng.random(), rng.randint(0, 15) / 15, None]) for _ in range(rng.randint(1, 40))]
        is_correct = [rng.random() < 0.6 for _ in scores]
        found = calibration(scores, is_correct, num_bins)
        assert [(b.low, b.high) for b in found.bins] == [
            (k / num_bins, (k + 1) / num_bins) for k in range(num_bins)
        ]
        gaps, num_known = 0.0, 0
        for k, bin_ in enumerate(found.bins):
            rows = [
                (score, right)
                for score, right in zip(scores, is_correct, strict=True)
                if score is not None and (bin_.low < score <= bin_.high or (k == 0 and score == 0))
            ]
            num_known += len(rows)
            assert bin_.num_rows == len(rows)
            if not rows:
                assert (bin_.mean_score, bin_.accuracy) == (None, None)
                continue
            mean_score, accuracy = np.mean(rows, axis=0)
            assert (bin_.mean_score, bin_.accuracy) == pytest.approx((mean_score, accuracy))
            gaps += len(rows) * abs(mean_score - accuracy)
        assert found.num_failed == len(scores) - num_known
        assert found.expected_error == pytest.approx(gaps / max(1, num_known))


def test_by_hand() -> None:
    found = calibration([0.9, 0.9, 0.4, None], [True, False, False, False], num_bins=2)
    assert found.bins == (Bin(0.0, 0.5, 1, 0.4, 0.0), Bin(0.5, 1.0, 2, 0.9, 0.5))
    assert found.expected_error == pytest.approx((0.4 + 2 * 0.4) / 3)
    assert found.num_failed == 1


def test_edges_belong_to_the_bin_below() -> None:
    assert [b.num_rows for b in calibration([0.0, 0.5, 1.0], [True] * 3, num_bins=2).bins] == [2, 1]


def test_all_failed() -> None:
    found = calibration([None, None], [False, False])
    assert (found.expected_error, found.num_failed, len(found.bins)) == (0.0, 2, 15)

"""acc_eq against counting pair by pair at every threshold."""

import itertools
import random

import numpy as np
import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics.tie_accuracy import best_threshold, segment_pairs, tie_accuracy_metric


def accuracy_by_hand(
    gold: list[float], predicted: list[float], segments: list[str], threshold: float, times: dict[str, int]
) -> float:
    """The mean over segments of the share of pairs that are right, where a segment counts so many times."""
    total, number = 0.0, 0
    for segment in sorted(set(segments)):
        rows = [n for n, name in enumerate(segments) if name == segment]
        right = []
        for one, other in itertools.combinations(rows, 2):
            gap = predicted[one] - predicted[other]
            order = 0 if abs(gap) <= threshold else 1 if gap > 0 else -1
            right.append(order == int(np.sign(gold[one] - gold[other])))
        if right:
            total += times[segment] * sum(right) / len(right)
            number += times[segment]
    return total / number if number else 0.0


def random_case(seed: int) -> tuple[list[float], list[float], list[str]]:
    chance = random.Random(seed)
    num_rows = chance.choice([1, 2, 5, 12, 25])
    segments = [f"s{chance.randrange(max(1, num_rows // 3))}" for _ in range(num_rows)]
    gold = [float(chance.randrange(4)) for _ in range(num_rows)]
    predicted = [chance.choice([value / 4 + chance.gauss(0, 0.3), float(chance.randrange(3))]) for value in gold]
    return gold, predicted, segments


@pytest.mark.parametrize("seed", range(200))
def test_the_best_of_all_thresholds_on_rows_and_on_resampled_segments(seed: int) -> None:
    gold, predicted, segments = random_case(seed)
    chance = random.Random(seed)
    times = {name: 1 if seed % 2 else chance.randrange(3) for name in set(segments)}
    gaps = {abs(one - other) for one, other in itertools.combinations(predicted, 2)}
    by_threshold = {
        threshold: accuracy_by_hand(gold, predicted, segments, threshold, times)
        for threshold in sorted({0.0, 100.0, *gaps})
    }
    pairs = segment_pairs(gold, predicted, segments)
    weights = np.array([[float(times[name]) for name in segments]])
    assert tie_accuracy_metric(pairs).of_weights(weights)[0] == pytest.approx(
        max(by_threshold.values()), abs=1e-12
    )
    if set(times.values()) == {1}:
        found = accuracy_by_hand(gold, predicted, segments, best_threshold(pairs), times)
        assert found == pytest.approx(max(by_threshold.values()), abs=1e-12)


def test_a_tie_that_the_gold_has_is_right_only_within_the_threshold() -> None:
    gold, segments = [1.0, 1.0, 0.0], ["a"] * 3
    # 0.5 and 0.6 are a tie in the gold; 0.1 is rightly the worst.
    pairs = segment_pairs(gold, [0.5, 0.6, 0.1], segments)
    assert best_threshold(pairs) == pytest.approx(0.1)
    assert tie_accuracy_metric(pairs).value() == 1.0
    # Without calibration two of three pairs are right.
    assert pairs.accuracies(np.ones(3))[0] == pytest.approx(2 / 3)


def test_segments_count_alike_whatever_their_numbers_of_translations() -> None:
    gold = [1.0, 0.0, *range(5)]
    predicted = [0.0, 1.0, *range(5)]
    pairs = segment_pairs(gold, predicted, ["two"] * 2 + ["five"] * 5)
    assert tie_accuracy_metric(pairs).value() == pytest.approx(0.5)


def test_a_failed_row_has_the_mean_prediction() -> None:
    gold, segments = [3.0, 2.0, 1.0], ["a"] * 3
    found = segment_pairs(gold, [0.9, None, 0.1], segments)
    expected = segment_pairs(gold, [0.9, 0.5, 0.1], segments)
    assert found.gap.tolist() == expected.gap.tolist()
    assert tie_accuracy_metric(found).value() == 1.0

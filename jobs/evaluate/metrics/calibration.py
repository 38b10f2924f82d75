"""Reliability of scores: how often predictions of a score are right.

Source: Guo et al., On Calibration of Modern Neural Networks (2017), section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bin:
    """Rows with scores above `low` and up to `high`; the means are None where there is no row."""

    low: float
    high: float
    num_rows: int
    mean_score: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Bins of equal width, and the expected calibration error: the mean gap of score and accuracy over rows."""

    bins: tuple[Bin, ...]
    expected_error: float
    num_failed: int


def calibration(
    scores: Sequence[float | None], is_correct: Sequence[bool] | NDArray[np.bool_], num_bins: int = 15
) -> Calibration:
    """Reliability of the top label's scores.

    Args:
        scores: of the predicted label, 0 to 1; None for failed rows, which have no score to be judged and are left
            out.
        is_correct: whether the predicted label is right.
        num_bins: bins; a score of 0 is in the first.
    """
    rows = [n for n, score in enumerate(scores) if score is not None]
    scores_N = np.array([scores[n] for n in rows], dtype=np.float64)
    correct_N = np.asarray(is_correct, dtype=np.float64)[rows]
    edges = np.arange(num_bins + 1) / num_bins
    places_N = np.searchsorted(edges[1:-1], scores_N, side="left")
    counts, score_sums, correct_sums = (
        np.bincount(places_N, weights=weights, minlength=num_bins) for weights in (None, scores_N, correct_N)
    )
    means = [
        (float(scored / count), float(right / count)) if count else (None, None)
        for count, scored, right in zip(counts, score_sums, correct_sums, strict=True)
    ]
    bins = tuple(Bin(float(edges[k]), float(edges[k + 1]), int(counts[k]), *means[k]) for k in range(num_bins))
    gap = float(np.abs(score_sums - correct_sums).sum())
    return Calibration(bins, gap / len(rows) if rows else 0.0, len(scores) - len(rows))

"""What more labels bring: the chosen head fitted on parts of the rows."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.metrics.bootstrap import interval
from jobs.evaluate.results import Figure, Measured
from jobs.fit.labels.splits import some_groups

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True)
class CurvePoint:
    """The metric on the part "choose" of a head fitted on so many rows."""

    num_rows: int
    figure: Figure


@dataclass(frozen=True)
class LearningCurve:
    """The points, and what the last doubling of the rows brought.

    Attributes:
        last_gain: of the metric, with its interval by paired resamples.
        next_gain: what another doubling would bring if gains go on to shrink as they did in the last two.
    """

    points: tuple[CurvePoint, ...]
    last_gain: Figure
    next_gain: float

    @property
    def outlook(self) -> str:
        """What twice the labels would bring, for people; metrics times 100."""
        gain, low, high = (
            100 * value for value in (self.last_gain.value, self.last_gain.low, self.last_gain.high)
        )
        seen = f"The last doubling of the rows brought {gain:+.1f} points ({low:+.1f} to {high:+.1f})"
        if self.last_gain.low <= 0:
            return f"{seen}, which is within chance: no gain of more labels can be told from these rows."
        return (
            f"{seen}. Twice the labels would bring about {100 * self.next_gain:+.1f}, if gains go on to shrink as "
            "they did; nothing was fitted that shows it."
        )


def nested_subsets(groups: Sequence[Hashable], seed: int) -> list[NDArray[np.int64]]:
    """Places of the rows of each of `SHARES` of the groups, ascending; each holds those of the one before."""
    return [some_groups(groups, share, seed + 1) for share in SHARES]


def learning_curve(
    subsets: Sequence[NDArray[np.int64]], measured: Callable[[NDArray[np.int64]], Measured]
) -> LearningCurve:
    """Fit on each of the subsets.

    Args:
        subsets: at least three, each twice the one before.
        measured: fits on rows and measures, with the same draws each time.
    """
    found = [measured(rows) for rows in subsets]
    points = tuple(CurvePoint(len(rows), each.figure) for rows, each in zip(subsets, found, strict=True))
    gains = np.diff([each.value for each in found])
    last = Figure(float(gains[-1]), *interval(found[-1].resampled - found[-2].resampled))
    shrinking = float(np.clip(gains[-1] / gains[-2], 0, 1)) if gains[-2] > 0 else 1.0
    return LearningCurve(points, last, float(gains[-1]) * shrinking)

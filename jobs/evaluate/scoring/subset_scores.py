"""What scoring the rows of a subset gives, whatever their kind."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.metrics.weighted import Metric


@dataclass(frozen=True)
class SubsetScores:
    """The scores of n rows with a gold.

    Attributes:
        metrics: official ones first.
        baseline: by metric, what a predictor of the most frequent class gets.
        quality: float64 `[n]`, how right each row is: 1 or 0, an F1, a share of words; of regression the absolute
            error. `quality_name` says which.
        gold, predicted: as people read them; None where a row failed.
        confidence: the score of each prediction, where it has one.
        groups: rows that are drawn together in resamples, such as the questions on one paragraph.
        details: more figures, as in results.json.
        exact: float64 `[n]`, 1 or 0, where `quality` is not that.
    """

    metrics: Mapping[str, Metric]
    baseline: Mapping[str, float]
    quality: NDArray[np.float64]
    quality_name: str
    gold: Sequence[str]
    predicted: Sequence[str | None]
    confidence: Sequence[float | None]
    groups: Sequence[Hashable] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    exact: NDArray[np.float64] | None = None

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Which rows are right as accuracy or exact match counts."""
        exact: NDArray[np.float64] = self.quality if self.exact is None else self.exact
        return exact == 1

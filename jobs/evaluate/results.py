"""The results of an evaluation as plain data, and as `results.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.examples import Kind, Published


@dataclass(frozen=True)
class Figure:
    """A metric in its own unit (a share is 0 to 1) with its 95 % interval by bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """A metric's value and what it is on resampled rows, float64 `[num_resamples]`.

    Of measurements with equal numbers of resamples a mean can be taken: that of their resamples is the mean's.
    """

    value: float
    resampled: NDArray[np.float64]

    @property
    def figure(self) -> Figure:
        """The value with the 2.5th and 97.5th percentile of the resamples."""
        low, high = np.percentile(self.resampled, [2.5, 97.5])
        return Figure(float(self.value), float(low), float(high))


def mean_of(measured: Sequence[Measured]) -> Measured:
    """The unweighted mean of several measurements."""
    value = float(np.mean([each.value for each in measured]))
    return Measured(value, np.mean([each.resampled for each in measured], axis=0))


@dataclass(frozen=True)
class SubsetResult:
    """A subset's figures by metric.

    Attributes:
        num_rows: rows with a gold.
        failed: number and reason of each row without a prediction, which counts as wrong.
        baseline: what a predictor of the most frequent class gets, where there are classes.
        details: confusion matrix, figures per label and the like.
    """

    num_rows: int
    failed: list[tuple[int, str]]
    data_sha256: str
    figures: Mapping[str, Figure]
    baseline: Mapping[str, float]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class AverageResult:
    """An unweighted mean over subsets."""

    subsets: Sequence[str]
    figures: Mapping[str, Figure]
    baseline: Mapping[str, float]


@dataclass(frozen=True)
class TaskResult:
    """The results of a task.

    Attributes:
        missing: known subsets that were not evaluated, or have no gold.
        score: the mean of its official metrics over its subsets; None for data of one's own, whose metrics have
            different units.
    """

    kind: Kind
    split: str
    limit: int | None
    metrics: Sequence[str]
    model: str
    head: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    identity: Mapping[str, str]
    missing: Sequence[str]
    score: Figure | None
    subsets: Mapping[str, SubsetResult]
    averages: Mapping[str, AverageResult]
    published: Sequence[Published] = ()


@dataclass(frozen=True)
class EvaluationResult:
    """All results; `averages` are over tasks, with the rule as their name. `time` is when they were computed."""

    benchmark: str
    command: str
    seed: int
    num_resamples: int
    time: str
    versions: Mapping[str, str]
    tasks: Mapping[str, TaskResult]
    averages: Mapping[str, Figure] = field(default_factory=dict)
    notes: Sequence[str] = ()


def to_json(result: EvaluationResult) -> dict[str, Any]:
    """The content of `results.json`."""
    return {"format": 1, **asdict(result)}

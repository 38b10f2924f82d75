"""What is to be predicted of each row, and what else is known of the rows."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.fit.fitted_head import Floats, Problem

ClassWeights = Literal["none", "balanced"] | Mapping[str, float]


@dataclass(frozen=True)
class Targets:
    """The labels of all rows.

    Attributes:
        problem: how many labels of a row are right; "single" for the tags of words too.
        names: labels in the order of the head's outputs; one name for regression.
        values: of "single", int64 `[N]`, places in `names`, -1 where unknown. Of "multi_label", int8 `[N, K]`, 1
            where a row has a label, a row of -1 where unknown. Of "regression", float64 `[N]`, NaN where unknown.
    """

    problem: Problem
    names: tuple[str, ...]
    values: NDArray[Any]

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which rows have a label: `[N]`."""
        if self.problem == "regression":
            return np.asarray(np.isfinite(self.values))
        is_known = self.values >= 0
        return np.asarray(is_known if self.problem == "single" else is_known.all(axis=1))

    @property
    def num_outputs(self) -> int:
        """Outputs of a head: K, or 1."""
        return len(self.names)

    def of(self, rows: NDArray[np.int64]) -> "Targets":
        """The targets of some rows."""
        return Targets(self.problem, self.names, self.values[rows])


@dataclass(frozen=True)
class RowFacts:
    """What is known of the rows beside their labels; each sequence has one item a row.

    Attributes:
        groups: rows of one group stay in one part of the split and are drawn together in resamples.
        languages: what figures are given by as well.
        parts: a split that is given: "fit", "choose", "calibrate" or "test", or "" for rows to leave out.
        sentences: for words, the number of each one's sentence, ascending: entities lie within a sentence.
        words: the words, for the baseline of a word list.
    """

    groups: Sequence[Hashable]
    languages: Sequence[str] | None = None
    parts: Sequence[str] | None = None
    sentences: NDArray[np.int64] | None = None
    words: Sequence[str] | None = None


def row_weights(targets: Targets, weights: ClassWeights) -> Floats:
    """How much each row counts in the loss: `[N]`, or `[N, K]` for multi_label.

    "balanced" gives each label the same sum of weights, N / K for single labels, N / 2 for having one of several
    labels and for not having it (scikit-learn's formula). A mapping gives weights by label, 1 where it has none;
    of several labels they count for the rows that have the label.
    """
    if targets.problem == "regression":
        return np.ones(len(targets.values))
    if targets.problem == "single":
        counts = np.bincount(targets.values, minlength=len(targets.names))
        return _by_label(targets, weights, len(targets.values) / (len(targets.names) * np.maximum(counts, 1)))[
            targets.values
        ]
    has_label = targets.values == 1
    num_rows, counts = len(has_label), has_label.sum(axis=0)
    if weights == "balanced":
        absent = num_rows / (2 * np.maximum(num_rows - counts, 1))
        return np.where(has_label, num_rows / (2 * np.maximum(counts, 1)), absent)
    return np.where(has_label, _by_label(targets, weights, np.ones(len(targets.names))), 1.0)


def _by_label(targets: Targets, weights: ClassWeights, balanced: Floats) -> Floats:
    if isinstance(weights, Mapping):
        return np.array([weights.get(name, 1.0) for name in targets.names])
    return balanced if weights == "balanced" else np.ones(len(targets.names))

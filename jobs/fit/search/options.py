"""How heads are searched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs.fit.fitted_head import Activation, Pooling
from jobs.fit.labels.targets import ClassWeights

HeadKind = Literal["linear", "mlp"]


@dataclass(frozen=True)
class FitOptions:
    """How heads are searched.

    Attributes:
        pooling: of the features that are given.
        heads: kinds to try; "mlp" has one hidden layer.
        mix: whether a learned mix of all layers that are given is tried beside single ones.
        metric: what candidates are compared by: accuracy, macro_f1 or entity_f1 of single labels; macro_f1,
            micro_f1 or macro_average_precision of several; spearman or pearson. None: entity_f1 of tags of
            entities, accuracy (macro_f1 with class weights), macro_f1, spearman.
        class_weights: of the loss.
        penalties: of linear heads, `penalty / 2 * |W|^2` beside the mean loss of a row; at an edge of them the
            search goes on by factors of 10, `max_extensions` times.
        mlp_penalties: of those with a hidden layer.
        mlp_layers: on how many of the layers a hidden layer is tried: those with the best linear heads.
        hidden_size, activation: units of the hidden layer.
        max_epochs, patience: passes over the rows, and how many of them may bring no better loss on the part
            "choose" before fitting stops.
        seed: of splits, hidden layers and resamples.
        min_rows: a label with fewer rows than this in a part is refused.
        num_resamples: of intervals.
        duplicate_cosine: standardised rows of at least this cosine are told as nearly equal.
        max_bytes: of features held in memory at a time; what is above goes to a file in `scratch`.
    """

    pooling: Pooling = "mean"
    heads: tuple[HeadKind, ...] = ("linear", "mlp")
    mix: bool = True
    metric: str | None = None
    class_weights: ClassWeights = "none"
    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    mlp_penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    mlp_layers: int = 2
    max_extensions: int = 3
    hidden_size: int = 256
    activation: Activation = "relu"
    max_epochs: int = 50
    patience: int = 5
    seed: int = 0
    min_rows: int = 5
    num_resamples: int = 1000
    duplicate_cosine: float = 0.99
    max_bytes: int = 2**30
    scratch: Path | None = None

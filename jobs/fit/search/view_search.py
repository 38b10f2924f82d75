"""Search heads on one view of the features: a layer, or a mix of layers."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from jobs.fit.feature_blocks import Features, RowNumbers
from jobs.fit.figures.measures import default_metric, measure, measures_of
from jobs.fit.fitted_head import Activation, FittedHead, Floats, dense_outputs
from jobs.fit.labels.splits import Part
from jobs.fit.labels.targets import RowFacts, Targets, row_weights
from jobs.fit.search.candidates import Candidate, search_penalties
from jobs.fit.search.options import FitOptions, HeadKind
from jobs.fit.training.held_rows import HeldRows, View, hold_rows, view_blocks
from jobs.fit.training.hidden_layer import HiddenFit, LabeledRows, fit_hidden_layer
from jobs.fit.training.linear import LinearFit, LinearRows, fit_linear, sampled_gram
from jobs.fit.training.losses import loss_and_gradient
from jobs.fit.training.scaling import Scaling, scaling_of

_RESAMPLES_OF_ERRORS = 200
Dense = tuple[tuple[Floats, Floats], ...]


@dataclass(frozen=True)
class SearchData:
    """What is to be fitted: features and labels of all rows, and the rows of each part."""

    features: Features
    targets: Targets
    facts: RowFacts
    parts: dict[Part, RowNumbers]
    options: FitOptions

    @property
    def metric(self) -> str:
        """What heads are compared by."""
        return self.options.metric or default_metric(self.targets, self.facts, self.options.class_weights)

    @property
    def fit_rows(self) -> RowNumbers:
        """Rows to fit on."""
        return self.parts["fit"]

    @property
    def choose_rows(self) -> RowNumbers:
        """Rows to compare heads by."""
        return self.parts["choose"]


@dataclass(frozen=True)
class ViewRows:
    """Standardised rows of a view: `fit` to fit on, `choose` to compare by."""

    view: View
    scaling: Scaling
    fit: HeldRows
    choose: HeldRows


@dataclass(frozen=True)
class Trained:
    """A head that was fitted: its dense layers are those on standardised features."""

    candidate: Candidate
    view: View
    scaling: Scaling
    dense: Dense
    linear: LinearFit | None = None

    def head(self, data: SearchData) -> FittedHead:
        """The head on features as they come from the trunk."""
        (weight, bias), *further = self.dense
        return FittedHead(
            layers=self.view.layers,
            pooling=data.options.pooling,
            mix=self.view.factors,
            dense=(self.scaling.folded(weight, bias), *further),
            activation=data.options.activation if further else None,
            problem=data.targets.problem,
        )


def hold_view(data: SearchData, view: View, scaling: Scaling | None = None) -> ViewRows:
    """Read the rows of a view, standardised by those that are fitted on; `scaling` is theirs where it is known."""
    features, options = data.features, data.options
    scaling = scaling or scaling_of(view_blocks(features, view, data.fit_rows))
    num_rows = len(data.fit_rows) + len(data.choose_rows)
    fit, choose = (
        hold_rows(features, view, scaling, rows, options.max_bytes * len(rows) // num_rows, options.scratch)
        for rows in (data.fit_rows, data.choose_rows)
    )
    return ViewRows(view, scaling, fit, choose)


def search_linear(data: SearchData, rows: ViewRows) -> list[Trained]:
    """Linear heads with all penalties, near enough to be compared."""
    fit_rows = prepared(data, rows.fit, data.fit_rows, sampled_gram(rows.fit))
    options = data.options

    def try_one(penalty: float, start: Trained | None) -> Trained:
        began = perf_counter()
        found = fit_linear(fit_rows, penalty, start.linear if start else None, is_exact=False)
        dense = ((found.weight, found.bias),)
        candidate = judged(data, rows, "linear", penalty, dense, found.num_passes, perf_counter() - began)
        return Trained(candidate, rows.view, rows.scaling, dense, found)

    return search_penalties(options.penalties, options.max_extensions, try_one)


def search_hidden_layers(data: SearchData, rows: ViewRows) -> list[Trained]:
    """Heads with a hidden layer, with all penalties."""
    options = data.options

    def try_one(penalty: float, start: Trained | None) -> Trained:
        began = perf_counter()
        found = hidden_fit(data, rows, rows.fit, data.fit_rows, penalty)
        candidate = judged(data, rows, "mlp", penalty, found.dense, found.num_passes, perf_counter() - began)
        return Trained(candidate, rows.view, rows.scaling, found.dense)

    return search_penalties(options.mlp_penalties, options.max_extensions, try_one)


def hidden_fit(data: SearchData, rows: ViewRows, held: HeldRows, numbers: RowNumbers, penalty: float) -> HiddenFit:
    """A head with a hidden layer on some rows, stopped by the part "choose"."""
    options = data.options
    fit, stop = (
        LabeledRows(each, targets.values, row_weights(targets, options.class_weights))
        for each, targets in (
            (held, data.targets.of(numbers)),
            (rows.choose, data.targets.of(data.choose_rows)),
        )
    )
    return fit_hidden_layer(
        fit,
        stop,
        data.targets.problem,
        data.targets.num_outputs,
        penalty,
        options.hidden_size,
        options.max_epochs,
        options.patience,
        options.seed,
        options.activation,
    )


def finished(data: SearchData, rows: ViewRows, gram: Floats, chosen: Trained) -> Trained:
    """The chosen head, fitted to the end where it is a linear one; `gram` is that of the rows fitted on."""
    if chosen.linear is None:
        return chosen
    tried, began = chosen.candidate, perf_counter()
    found = fit_linear(prepared(data, rows.fit, data.fit_rows, gram), tried.penalty, chosen.linear)
    dense = ((found.weight, found.bias),)
    num_passes, seconds = tried.num_passes + found.num_passes, tried.seconds + perf_counter() - began
    candidate = judged(data, rows, tried.kind, tried.penalty, dense, num_passes, seconds)
    return Trained(candidate, chosen.view, chosen.scaling, dense, found)


def refitted(data: SearchData, rows: ViewRows, gram: Floats, chosen: Trained, places: NDArray[np.int64]) -> Dense:
    """The dense layers of the chosen head when it is fitted on some of the rows.

    Args:
        gram: of all rows fitted on.
        places: of the rows in the part "fit".
    """
    penalty = chosen.candidate.penalty
    numbers, half = data.fit_rows[places], data.options.max_bytes // 2
    held = hold_rows(data.features, rows.view, rows.scaling, numbers, half, data.options.scratch)
    if chosen.linear is None:
        return hidden_fit(data, rows, held, numbers, penalty).dense
    # Begun at the head fitted on all rows: the minimum is the same, and nearer.
    found = fit_linear(prepared(data, held, numbers, gram), penalty, chosen.linear)
    return ((found.weight, found.bias),)


def prepared(data: SearchData, held: HeldRows, rows: RowNumbers, gram: Floats) -> LinearRows:
    """Rows for linear heads, with labels and weights."""
    targets = data.targets.of(rows)
    weights = row_weights(targets, data.options.class_weights)
    return LinearRows(held, targets.values, weights, targets.problem, targets.num_outputs, gram)


def judged(
    data: SearchData,
    rows: ViewRows,
    kind: HeadKind,
    penalty: float,
    dense: Dense,
    num_passes: int,
    seconds: float,
) -> Candidate:
    """What a head is worth on the part "choose"."""
    targets, options = data.targets.of(data.choose_rows), data.options
    outputs = held_outputs(rows.choose, dense, data.options.activation)
    chosen = measures_of(outputs, targets, data.facts, data.choose_rows)[data.metric]
    found = measure([chosen], _RESAMPLES_OF_ERRORS, options.seed)[0]
    loss, _ = loss_and_gradient(outputs, targets.values, row_weights(targets, "none"), targets.problem)
    in_mix = 0 if rows.view.factors is None else len(rows.view.factors)
    return Candidate(
        kind=kind,
        layers=rows.view.layers,
        penalty=penalty,
        metric=found.value,
        standard_error=float(found.resampled.std()),
        loss=loss / len(outputs),
        num_parameters=in_mix + sum(weight.size + bias.size for weight, bias in dense),
        num_passes=num_passes,
        seconds=seconds,
    )


def held_outputs(rows: HeldRows, dense: Dense, activation: Activation) -> Floats:
    """Outputs of dense layers for standardised rows: `[N, K]`."""
    return np.concatenate([dense_outputs(block, dense, activation) for _, block in rows.blocks()])


def head_outputs(head: FittedHead, features: Features, rows: RowNumbers) -> Floats:
    """Outputs of a head for rows, from the features as they are: `[n, K]`."""
    blocks = zip(*(features.blocks(layer, rows) for layer in head.layers), strict=True)
    return np.concatenate([head.logits(block) for block in blocks])

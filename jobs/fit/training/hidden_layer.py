"""Heads with one hidden layer: Adam on shuffled rows, stopped early by the loss on rows apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from jobs.fit.fitted_head import Activation, Floats, Problem, dense_outputs
from jobs.fit.training.held_rows import HeldRows
from jobs.fit.training.losses import loss_and_gradient

_LEARNING_RATE = 1e-3
# Multiplications of a step, below which a second thread brings less than it costs, above all on a busy machine.
_MIN_PRODUCTS = 2**24
_UNITS: Mapping[Activation, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}
Dense = tuple[tuple[Floats, Floats], ...]


@dataclass(frozen=True)
class LabeledRows:
    """Standardised rows with labels and weights, as `Targets.values` and `row_weights` have them."""

    rows: HeldRows
    values: NDArray[Any]
    weights: Floats


@dataclass(frozen=True)
class HiddenFit:
    """The two dense layers on standardised features, and how often the rows were passed in all."""

    dense: Dense
    num_passes: int


def fit_hidden_layer(
    fit: LabeledRows,
    stop: LabeledRows,
    problem: Problem,
    num_outputs: int,
    penalty: float,
    hidden_size: int,
    max_epochs: int,
    patience: int,
    seed: int,
    activation: Activation = "relu",
) -> HiddenFit:
    """Fit a hidden layer and an output layer, in fp32 on the CPU.

    The loss is that of `linear`, with the penalty on both weights.

    Args:
        fit: to fit on.
        stop: the layers of the epoch with the least loss on these rows are kept.
        patience: epochs without a lesser loss after which fitting ends.
        seed: of the first weights and the order of rows: the same one gives the same layers on as many threads.
    """
    center, spread = 0.0, 1.0
    if problem == "regression":
        center, spread = float(fit.values.mean()), float(fit.values.std()) or 1.0
        fit, stop = (replace(each, values=(each.values - center) / spread) for each in (fit, stop))
    generator = torch.Generator().manual_seed(seed)
    parameters = _first_parameters(fit.rows.values.shape[1], hidden_size, num_outputs, generator)
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
    kept, least, stale, num_passes = _as_dense(parameters), np.inf, 0, 0
    while num_passes < max_epochs and stale < patience:
        with _threads_for(_batch_size(len(fit.values)) * parameters[0].numel()):
            _epoch(fit, problem, penalty, parameters, optimizer, generator, activation)
        num_passes, stale = num_passes + 1, stale + 1
        dense = _as_dense(parameters)
        loss = _loss(stop, problem, dense, activation)
        if loss < least:
            kept, least, stale = dense, loss, 0
    first, (weight, bias) = kept
    return HiddenFit((first, (spread * weight, spread * bias + center)), num_passes)


def _first_parameters(size: int, hidden_size: int, num_outputs: int, generator: torch.Generator) -> list[Tensor]:
    """Weight and bias of both layers: normal weights that keep the variance, by He et al. (2015); biases of 0."""
    found = []
    for out, into, gain in ((hidden_size, size, 2), (num_outputs, hidden_size, 1)):
        weight = torch.randn(out, into, generator=generator) * (gain / into) ** 0.5
        found += [weight.requires_grad_(), torch.zeros(out, requires_grad=True)]
    return found


def _epoch(
    fit: LabeledRows,
    problem: Problem,
    penalty: float,
    parameters: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    activation: Activation,
) -> None:
    order = torch.randperm(len(fit.values), generator=generator).numpy()
    batch_size = _batch_size(len(order))
    hidden, hidden_bias, out, out_bias = parameters
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        inputs = torch.from_numpy(fit.rows.values[rows])
        units = _UNITS[activation](functional.linear(inputs, hidden, hidden_bias))
        outputs = functional.linear(units, out, out_bias)
        values = torch.from_numpy(fit.values[rows])
        weights = torch.from_numpy(fit.weights[rows].astype(np.float32))
        loss = _row_losses(outputs, values, weights, problem).sum() / len(rows)
        loss = loss + 0.5 * penalty * (hidden.square().sum() + out.square().sum())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _batch_size(num_rows: int) -> int:
    return min(256, max(32, num_rows // 50))


@contextmanager
def _threads_for(num_products: int) -> Iterator[None]:
    """One thread for small steps."""
    num_threads = torch.get_num_threads()
    if num_products < _MIN_PRODUCTS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _row_losses(outputs: Tensor, values: Tensor, weights: Tensor, problem: Problem) -> Tensor:
    if problem == "single":
        return functional.cross_entropy(outputs, values, reduction="none") * weights
    if problem == "multi_label":
        losses = functional.binary_cross_entropy_with_logits(outputs, values.float(), weights, reduction="none")
        return losses.sum(dim=1)
    return 0.5 * (outputs[:, 0] - values.float()).square() * weights


def _as_dense(parameters: Sequence[Tensor]) -> Dense:
    hidden, hidden_bias, out, out_bias = (each.detach().double().numpy().copy() for each in parameters)
    return (hidden, hidden_bias), (out, out_bias)


def _loss(stop: LabeledRows, problem: Problem, dense: Dense, activation: Activation) -> float:
    total = 0.0
    for rows, block in stop.rows.blocks():
        outputs = dense_outputs(block, dense, activation)
        total += loss_and_gradient(outputs, stop.values[rows], stop.weights[rows], problem)[0]
    return total / len(stop.values)

"""Weights of a mix of layers, learned together with a linear head.

Layers differ in scale by orders of magnitude. So each is centred and divided by one scale of its own, the
geometric mean of its dimensions' deviations, before the softmax weights mix them; a scale a dimension would not be
a mix that the trunk can compute. The dimensions of the mix are then scaled as those of the even mix are. All of
this folds into one factor a layer and the dense layer. With a penalty on the head's weights gamma would only undo
the penalty, so it stays 1, and the head's own standardisation takes its place.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import softmax

from jobs.fit.feature_blocks import Features, RowNumbers
from jobs.fit.fitted_head import Floats, Problem
from jobs.fit.training.held_rows import HeldRows, View, gram_matrix, hold_rows, view_blocks
from jobs.fit.training.losses import curvature, loss_and_gradient
from jobs.fit.training.scaling import Scaling, scaling_of

MAX_ROWS = 8_192
"""A few weights need no more rows; the head itself is fitted on all of them afterwards."""
_MAX_PASSES = 60


def learn_mix(
    features: Features,
    rows: RowNumbers,
    values: NDArray[Any],
    weights: Floats,
    problem: Problem,
    num_outputs: int,
    penalty: float,
    max_bytes: int,
    scratch: Path | None = None,
) -> View:
    """The mix of all layers with which a linear head has the least loss.

    Args:
        rows: to learn from; at most `MAX_ROWS` of them are taken, evenly spaced.
        values, weights: of these rows, as `Targets.values` and `row_weights` have them.
        penalty: of the head's weights.
        max_bytes: of memory for the rows of all layers.
    """
    every = slice(None, None, -(-len(rows) // MAX_ROWS))
    rows, values, weights = rows[every], values[every], weights[every]
    if problem == "regression":
        values = (values - values.mean()) / (values.std() or 1.0)
    layers = features.layers
    scalings = [scaling_of(features.blocks(layer, rows)) for layer in layers]
    scales = np.array([layer_scale(scaling) for scaling in scalings])
    even = scaling_of(view_blocks(features, View(layers, 1 / (len(layers) * scales)), rows))
    held = [
        hold_rows(
            features,
            View((layer,)),
            Scaling(scaling.mean, even.inverse / scale),
            rows,
            max_bytes // len(layers),
            scratch,
        )
        for layer, scaling, scale in zip(layers, scalings, scales, strict=True)
    ]
    mix = _mix_weights(held, values, weights, problem, num_outputs, penalty)
    return View(layers, mix / scales, mix)


def layer_scale(scaling: Scaling) -> float:
    """The geometric mean of the deviations of all dimensions that have one."""
    varying = scaling.inverse[scaling.inverse > 0]
    return float(np.exp(-np.log(varying).mean())) if len(varying) else 1.0


def _mix_weights(
    held: list[HeldRows],
    values: NDArray[Any],
    weights: Floats,
    problem: Problem,
    num_outputs: int,
    penalty: float,
) -> Floats:
    """Softmax weights of the layers `[L]`, by L-BFGS from even ones, preconditioned as in `linear`."""
    L, K, size = len(held), num_outputs, held[0].values.shape[1]
    bend = curvature(np.zeros((1, K)), problem)
    even = (np.mean(blocks, axis=0) for blocks in _aligned(held))
    lower = cholesky(bend * gram_matrix(even, size) + penalty * np.eye(size), lower=True)

    def objective(variables: Floats) -> tuple[float, Floats]:
        weight = solve_triangular(lower, variables[: K * size].reshape(K, size).T, lower=True, trans="T").T
        bias, mix = variables[K * size : -L], np.asarray(softmax(variables[-L:]))
        total, start = 0.5 * penalty * len(values) * float((weight**2).sum()), 0
        by_weight, by_bias, by_mix = penalty * len(values) * weight, np.zeros(K), np.zeros(L)
        for blocks in _aligned(held):
            rows = slice(start, start + len(blocks[0]))
            outputs = np.stack([block @ weight.T for block in blocks])
            loss, gradient = loss_and_gradient(
                np.tensordot(mix, outputs, 1) + bias, values[rows], weights[rows], problem
            )
            total, start = total + loss, rows.stop
            by_mix += (outputs * gradient).sum(axis=(1, 2))
            by_bias += gradient.sum(axis=0)
            for factor, block in zip(mix, blocks, strict=True):
                by_weight += factor * (gradient.T @ block)
        turned = solve_triangular(lower, by_weight.T, lower=True).T
        by_logit = mix * (by_mix - mix @ by_mix)
        return total / len(values), np.concatenate([turned.ravel(), by_bias, by_logit]) / len(values)

    found = minimize(
        objective,
        np.zeros(K * size + K + L),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 20, "gtol": 1e-4, "ftol": 1e-7, "maxiter": _MAX_PASSES, "maxfun": _MAX_PASSES},
    )
    return np.asarray(softmax(found.x[-L:]), dtype=np.float64)


def _aligned(held: list[HeldRows]) -> "zip[tuple[Floats, ...]]":
    """The same rows of all layers in fp64, a few at a time."""
    return zip(*((block for _, block in rows.blocks()) for rows in held), strict=True)

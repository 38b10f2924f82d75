"""Linear heads by L-BFGS in fp64.

The objective is `sum_n s_n loss_n / N + penalty / 2 * |W|^2` on standardised features; biases are free. It is
summed over blocks of rows. With N rows scikit-learn's `C` is `1 / (penalty * N)`, its `alpha` of Ridge
`penalty * N`.

L-BFGS runs on `W L` with `L L^T = c * gram + penalty`, about the Hessian of a row of W, where c is the mean
curvature of the loss at the start. Features of a trunk are so correlated that it takes hundreds of passes over the
rows without this, and tens with it. The minimum is the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from jobs.fit.fitted_head import Floats, Problem
from jobs.fit.training.held_rows import HeldRows, gram_matrix
from jobs.fit.training.losses import curvature, loss_and_gradient

_SAMPLE = 8_192
_LEAST_CURVATURE = 1e-5
_MAX_PASSES = 500
_EXACT = {"gtol": 1e-6, "ftol": 1e-12}
_ROUGH = {"gtol": 1e-4, "ftol": 1e-8}


@dataclass(frozen=True)
class LinearFit:
    """Weight `[K, size]` and bias `[K]` on standardised features, and how often the rows were passed."""

    weight: Floats
    bias: Floats
    num_passes: int


@dataclass(frozen=True)
class LinearRows:
    """Rows to fit on, with what all fits on them share.

    Attributes:
        rows: the features.
        values, weights: as `Targets.values` and `row_weights` have them.
        gram: of the features, of some of the rows: it is used to get there faster only.
    """

    rows: HeldRows
    values: NDArray[Any]
    weights: Floats
    problem: Problem
    num_outputs: int
    gram: Floats


def sampled_gram(rows: HeldRows) -> Floats:
    """The mean of `x x^T` over some of the rows: `[size, size]`."""
    blocks = (block for _, block in rows.sampled(_SAMPLE).blocks())
    return gram_matrix(blocks, rows.values.shape[1])


def fit_linear(
    data: LinearRows, penalty: float, start: LinearFit | None = None, is_exact: bool = True
) -> LinearFit:
    """The minimum of the objective.

    Values of regression are standardised meanwhile, so that its tolerance is that of any unit.

    Args:
        start: a fit to begin at, such as one with another penalty.
        is_exact: go on until weights are right to 1e-4. Without it a fit ends once the loss is right to about
            1e-5, near enough to compare heads by, after half the passes.
    """
    size, K = data.rows.values.shape[1], data.num_outputs
    center, spread = 0.0, 1.0
    if data.problem == "regression":
        center, spread = float(data.values.mean()), float(data.values.std()) or 1.0
    values = (data.values - center) / spread if data.problem == "regression" else data.values
    begin_weight, begin_bias = np.zeros((K, size)), np.zeros(K)
    if start is not None:
        begin_weight, begin_bias = start.weight / spread, (start.bias - center) / spread
    bend = _curvature_at(data, begin_weight, begin_bias)
    lower = cholesky(bend * data.gram + penalty * np.eye(size), lower=True, check_finite=False)

    def weight_and_bias(variables: Floats) -> tuple[Floats, Floats]:
        weight = solve_triangular(lower, variables[: K * size].reshape(K, size).T, lower=True, trans="T").T
        return np.ascontiguousarray(weight), variables[K * size :] / np.sqrt(bend)

    def objective(variables: Floats) -> tuple[float, Floats]:
        weight, bias = weight_and_bias(variables)
        loss, weight_gradient, bias_gradient = _pass(data, values, weight, bias)
        loss += 0.5 * penalty * float((weight**2).sum())
        turned = solve_triangular(lower, (weight_gradient + penalty * weight).T, lower=True).T
        return loss, np.concatenate([turned.ravel(), bias_gradient / np.sqrt(bend)])

    begin = np.concatenate([(begin_weight @ lower).ravel(), begin_bias * np.sqrt(bend)])
    found = minimize(
        objective,
        begin,
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 20, "maxiter": _MAX_PASSES, "maxfun": _MAX_PASSES} | (_EXACT if is_exact else _ROUGH),
    )
    weight, bias = weight_and_bias(found.x)
    return LinearFit(spread * weight, spread * bias + center, int(found.nfev))


def _curvature_at(data: LinearRows, weight: Floats, bias: Floats) -> float:
    """The mean curvature of the loss where a fit begins, on some of the rows; above 0 though all be certain."""
    blocks = [block @ weight.T + bias for _, block in data.rows.sampled(_SAMPLE).blocks()]
    return max(curvature(np.concatenate(blocks), data.problem), _LEAST_CURVATURE)


def _pass(data: LinearRows, values: NDArray[Any], weight: Floats, bias: Floats) -> tuple[float, Floats, Floats]:
    """The mean loss over all rows, and its gradients by weight and bias."""
    total, weight_gradient, bias_gradient = 0.0, np.zeros_like(weight), np.zeros_like(bias)
    for rows, block in data.rows.blocks():
        loss, gradient = loss_and_gradient(block @ weight.T + bias, values[rows], data.weights[rows], data.problem)
        total += loss
        weight_gradient += gradient.T @ block
        bias_gradient += gradient.sum(axis=0)
    num_rows = len(data.rows.values)
    return total / num_rows, weight_gradient / num_rows, bias_gradient / num_rows

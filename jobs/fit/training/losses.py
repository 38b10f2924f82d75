"""Losses of outputs and their gradients, in fp64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from jobs.fit.fitted_head import Floats, Problem, scores_of


def loss_and_gradient(
    outputs: Floats, values: NDArray[Any], weights: Floats, problem: Problem
) -> tuple[float, Floats]:
    """The weighted sum of the rows' losses, and its gradient with respect to the outputs `[n, K]`.

    The losses are the cross entropy, the sum over labels of the binary cross entropy, and half the squared error.

    Args:
        outputs: logits or values `[n, K]`.
        values: as `Targets.values` has them; known ones only.
        weights: as `row_weights` gives them.
    """
    if problem == "single":
        rows = np.arange(len(values))
        log_sums = np.asarray(logsumexp(outputs, axis=1))
        gradient = np.exp(outputs - log_sums[:, None])
        gradient[rows, values] -= 1
        return float(weights @ (log_sums - outputs[rows, values])), gradient * weights[:, None]
    if problem == "multi_label":
        # log(1 + exp(z)) - y z, without overflow.
        losses = np.logaddexp(0, outputs) - values * outputs
        return float((weights * losses).sum()), weights * (np.asarray(expit(outputs)) - values)
    errors = outputs[:, 0] - values
    return float(0.5 * weights @ errors**2), (weights * errors)[:, None]


def curvature(outputs: Floats, problem: Problem) -> float:
    """The mean second derivative of a row's loss by an output, over rows and outputs `[n, K]`."""
    if problem == "regression":
        return 1.0
    shares = scores_of(outputs, problem)
    return float((shares * (1 - shares)).mean())

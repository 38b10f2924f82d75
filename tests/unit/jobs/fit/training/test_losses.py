"""Losses and gradients against torch's."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from jobs.fit.fitted_head import Problem
from jobs.fit.training.losses import curvature, loss_and_gradient

OUTPUTS = np.random.default_rng(0).normal(size=(5, 3)) * 30
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 3.0])


def torch_loss(problem: Problem, outputs: torch.Tensor, values: Any, weights: Any) -> torch.Tensor:
    values, weights = torch.as_tensor(values), torch.as_tensor(weights)
    if problem == "single":
        return (functional.cross_entropy(outputs, values, reduction="none") * weights).sum()
    if problem == "multi_label":
        return functional.binary_cross_entropy_with_logits(outputs, values.double(), weights, reduction="sum")
    return 0.5 * (weights * (outputs[:, 0] - values) ** 2).sum()


@pytest.mark.parametrize(
    ("problem", "num_outputs", "values", "weights"),
    [
        ("single", 3, np.array([0, 2, 1, 1, 0]), WEIGHTS),
        ("multi_label", 3, np.eye(5, 3, dtype=np.int8), np.tile(WEIGHTS[:, None], (1, 3))),
        ("regression", 1, np.arange(5.0), WEIGHTS),
    ],
)
def test_loss_and_gradient(problem: Problem, num_outputs: int, values: Any, weights: Any) -> None:
    outputs = torch.tensor(OUTPUTS[:, :num_outputs], requires_grad=True)
    expected = torch_loss(problem, outputs, values, weights)
    expected.backward()
    loss, gradient = loss_and_gradient(OUTPUTS[:, :num_outputs], values, weights, problem)
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    assert outputs.grad is not None
    np.testing.assert_allclose(gradient, outputs.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize(
    ("problem", "num_outputs", "values"),
    [
        ("single", 3, np.array([0, 2, 1, 1, 0])),
        ("multi_label", 3, np.eye(5, 3, dtype=np.int8)),
        ("regression", 1, np.arange(5.0)),
    ],
)
def test_curvature_is_the_mean_second_derivative(problem: Problem, num_outputs: int, values: Any) -> None:
    outputs, step = OUTPUTS[:, :num_outputs] / 30, 1e-5
    weights = np.ones((5, num_outputs)) if problem == "multi_label" else np.ones(5)
    second = []
    for k in range(num_outputs):
        moved = [outputs + sign * step * (np.arange(num_outputs) == k) for sign in (1, -1)]
        gradients = [loss_and_gradient(each, values, weights, problem)[1][:, k] for each in moved]
        second.append((gradients[0] - gradients[1]) / (2 * step))
    assert curvature(outputs, problem) == pytest.approx(np.mean(second), rel=1e-6)

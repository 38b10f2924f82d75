"""The estimator against the same layers in `nn.Sequential`, as COMET has them, and states that are not finite."""

from typing import get_args

import pytest
import torch
from torch import nn

from model.configuration.comet import Activation
from model.layers.estimator import Estimator


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("final_activation", [None, "Sigmoid"])
def test_scores_are_those_of_the_layers_in_a_row(
    activation: Activation, final_activation: Activation | None
) -> None:
    torch.manual_seed(0)
    estimator = Estimator((8, 6, 4), activation, final_activation)
    modules: list[nn.Module] = []
    for i, layer in enumerate(estimator.layers):
        modules.append(layer)
        if i < 2:
            modules += [getattr(nn, activation)(), nn.Dropout(0.1)]
    if final_activation is not None:
        modules.append(getattr(nn, final_activation)())
    states = torch.randn(5, 8)
    with torch.inference_mode():
        expected = nn.Sequential(*modules).eval()(states).view(-1)
        assert torch.equal(estimator(states), expected)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_a_state_that_is_not_finite_has_no_score(value: float) -> None:
    estimator = Estimator((8, 6), "Tanh", "Sigmoid")
    states = torch.randn(3, 8)
    states[1, 2] = value
    with torch.inference_mode():
        assert estimator(states).isnan().tolist() == [False, True, False]

"""What a fitted head computes, against torch."""

import numpy as np
import pytest
import torch

from jobs.fit.fitted_head import Activation, FittedHead, Problem


def random_arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("problem", ["single", "multi_label", "regression"])
def test_hidden_layer_on_a_mix_is_what_torch_computes(problem: Problem, activation: Activation) -> None:
    first, second, hidden, hidden_bias, out, out_bias = random_arrays((7, 5), (7, 5), (4, 5), (4,), (3, 4), (3,))
    dense = ((hidden, hidden_bias), (out, out_bias))
    head = FittedHead((2, 5), "mean", np.array([0.5, -2.0]), dense, activation, problem, temperature=1.7)

    with torch.no_grad():
        mixed = torch.from_numpy(0.5 * first - 2.0 * second)
        units = (torch.relu if activation == "relu" else torch.tanh)(
            torch.nn.functional.linear(mixed, torch.from_numpy(hidden), torch.from_numpy(hidden_bias))
        )
        logits = torch.nn.functional.linear(units, torch.from_numpy(out), torch.from_numpy(out_bias))
        scores = {
            "single": torch.softmax(logits / 1.7, dim=1),
            "multi_label": torch.sigmoid(logits / 1.7),
            "regression": logits / 1.7,
        }[problem]
    np.testing.assert_allclose(head.logits([first, second]), logits.numpy(), rtol=1e-12)
    np.testing.assert_allclose(head.scores([first, second]), scores.numpy(), rtol=1e-12)
    assert head.num_parameters == 2 + 24 + 15


def test_one_layer_without_a_mix() -> None:
    features, weight, bias = random_arrays((4, 6), (2, 6), (2,))
    head = FittedHead((3,), "cls", None, ((weight, bias),), None, "single")
    np.testing.assert_allclose(head.logits([features.astype(np.float32)]), features @ weight.T + bias, atol=1e-6)

"""Hidden layers on what no linear head can tell."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.fit.fitted_head import Activation, Floats, Problem, dense_outputs
from jobs.fit.labels.targets import Targets, row_weights
from jobs.fit.training.held_rows import HeldRows
from jobs.fit.training.hidden_layer import HiddenFit, LabeledRows, fit_hidden_layer

ROWS = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
QUADRANT = (ROWS[:, 0] * ROWS[:, 1] > 0).astype(np.int64)
NAMES: dict[Problem, tuple[str, ...]] = {"single": ("a", "b"), "multi_label": ("a", "b"), "regression": ("v",)}


def values_of(problem: Problem) -> NDArray[Any]:
    if problem == "single":
        return QUADRANT
    if problem == "multi_label":
        return np.stack([QUADRANT, 1 - QUADRANT], axis=1).astype(np.int8)
    return 500 + 20 * (ROWS[:, 0] * ROWS[:, 1]).astype(np.float64)


def fitted(
    problem: Problem,
    penalty: float = 1e-5,
    seed: int = 0,
    max_epochs: int = 25,
    activation: Activation = "relu",
) -> HiddenFit:
    values = values_of(problem)
    weights = row_weights(Targets(problem, NAMES[problem], values), "none")
    fit, stop = (
        LabeledRows(HeldRows(ROWS[part]), values[part], weights[part]) for part in (slice(2000), slice(2000, 2500))
    )
    return fit_hidden_layer(fit, stop, problem, len(NAMES[problem]), penalty, 32, max_epochs, 5, seed, activation)


def outputs(found: HiddenFit) -> Floats:
    return dense_outputs(ROWS[2500:].astype(np.float64), found.dense, "relu")


@pytest.mark.parametrize("problem", ["single", "multi_label", "regression"])
def test_quadrants_are_told_apart(problem: Problem) -> None:
    found = outputs(fitted(problem))
    gold = QUADRANT[2500:]
    if problem == "single":
        assert (found.argmax(axis=1) == gold).mean() > 0.95
    elif problem == "multi_label":
        assert ((found > 0) == np.stack([gold, 1 - gold], axis=1)).mean() > 0.95
    else:
        expected = values_of(problem)[2500:]
        assert np.abs(found[:, 0] - expected).mean() < 0.4 * np.abs(expected - expected.mean()).mean()


def test_tanh_tells_quadrants_apart() -> None:
    found = dense_outputs(ROWS[2500:].astype(np.float64), fitted("single", activation="tanh").dense, "tanh")
    assert (found.argmax(axis=1) == QUADRANT[2500:]).mean() > 0.9


def test_a_seed_gives_the_same_layers_and_another_one_others() -> None:
    first, second, other = (fitted("single", seed=seed, max_epochs=2).dense[0][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_penalty_shrinks_weights_and_fitting_stops_early() -> None:
    free, shrunk = fitted("single", 1e-6), fitted("single", 1.0)
    assert np.abs(shrunk.dense[0][0]).sum() < 0.9 * np.abs(free.dense[0][0]).sum()
    assert shrunk.num_passes < 25

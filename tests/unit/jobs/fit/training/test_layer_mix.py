"""Learned mixes of layers."""

import numpy as np
import pytest

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.labels.targets import Targets, row_weights
from jobs.fit.training.held_rows import View, hold_rows, view_blocks
from jobs.fit.training.layer_mix import learn_mix
from jobs.fit.training.linear import LinearRows, fit_linear, sampled_gram
from jobs.fit.training.scaling import scaling_of

N, D = 3000, 8


def test_layers_with_the_signal_get_the_weight_whatever_their_scale() -> None:
    generator = np.random.default_rng(0)
    signal = generator.normal(size=(N, D))
    noise = [generator.normal(size=(N, D)) for _ in range(3)]
    layers = {0: 1e3 * noise[0] + 50, 4: 1e-3 * (signal + 0.1 * noise[1]) + 7, 9: noise[2]}
    values = np.argmax(signal[:, :3] + 0.3 * generator.gumbel(size=(N, 3)), axis=1)
    features = FeatureArrays(layers)
    weights = row_weights(Targets("single", ("a", "b", "c"), values), "none")
    view = learn_mix(features, np.arange(N), values, weights, "single", 3, 1e-3, 2**20)
    assert view.layers == (0, 4, 9)
    assert view.factors is not None
    # In units of the layers' scales, which differ by a million.
    shares = view.factors * [1e3, 1e-3, 1]
    assert shares[1] > 0.8 * shares.sum()
    assert view.weights is not None
    assert view.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(view.weights, shares / shares.sum(), atol=0.02)


def test_a_mix_of_two_halves_beats_each_layer() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(2, N, D))
    values = (first + second)[:, 0] * 3 + 100
    features, rows, weights = FeatureArrays({1: first, 2: second}), np.arange(N), np.ones(N)
    mixed = learn_mix(features, rows, values, weights, "regression", 1, 1e-4, 2**20)

    def error(view: View) -> float:
        scaling = scaling_of(view_blocks(features, view, rows))
        held = hold_rows(features, view, scaling, rows, 2**20)
        fit = fit_linear(LinearRows(held, values, weights, "regression", 1, sampled_gram(held)), 1e-4)
        return float(np.std(held.values @ fit.weight[0] + fit.bias - values))

    assert error(View((1,))) == pytest.approx(3, rel=0.1)
    assert error(View((2,))) == pytest.approx(3, rel=0.1)
    assert error(mixed) < 0.3

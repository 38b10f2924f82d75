"""Linear heads against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.fitted_head import Floats, Problem
from jobs.fit.labels.targets import ClassWeights, Targets, row_weights
from jobs.fit.training.held_rows import HeldRows, View, hold_rows, view_blocks
from jobs.fit.training.linear import LinearFit, LinearRows, fit_linear, sampled_gram
from jobs.fit.training.scaling import scaling_of

N, D = 1500, 12


def correlated_rows() -> Floats:
    """Rows as a trunk gives them: correlated dimensions, one of them far out, and one constant."""
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(N, D)) @ generator.normal(size=(D, D)) + generator.normal(size=D)
    rows[:, 3] = 400 + 30 * rows[:, 3]
    rows[:, 7] = 2.5
    return rows.astype(np.float32).astype(np.float64)


ROWS = correlated_rows()


def held(max_bytes: int = 2**30) -> HeldRows:
    features, rows = FeatureArrays({9: ROWS}, rows_per_block=400), np.arange(N)
    view = View((9,))
    return hold_rows(features, view, scaling_of(view_blocks(features, view, rows)), rows, max_bytes)


def prepared(problem: Problem, values: NDArray[Any], weights: Floats, num_outputs: int) -> LinearRows:
    return LinearRows(held(), values, weights, problem, num_outputs, sampled_gram(held()))


def fit(problem: Problem, values: NDArray[Any], penalty: float, weights: ClassWeights = "none") -> LinearFit:
    names = tuple("abcd"[: int(values.max()) + 1]) if problem == "single" else ("a", "b", "c")
    targets = Targets(problem, names if problem != "regression" else ("value",), values)
    data = prepared(problem, values, row_weights(targets, weights), targets.num_outputs)
    return fit_linear(data, penalty)


def classes(num: int) -> NDArray[np.int64]:
    generator = np.random.default_rng(1)
    logits = (ROWS - ROWS.mean(0)) / (ROWS.std(0) + 1e-9) @ generator.normal(size=(D, num))
    return np.asarray(np.argmax(logits + generator.gumbel(size=(N, num)), axis=1))


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("penalty", [1e-4, 1e-1])
def test_multinomial_logistic_regression(penalty: float, weights: ClassWeights) -> None:
    values = classes(4)
    found = fit("single", values, penalty, weights)
    oracle = LogisticRegression(
        C=1 / (penalty * N), tol=1e-10, max_iter=10_000, class_weight=None if weights == "none" else "balanced"
    ).fit(held().values.astype(np.float64), values)
    np.testing.assert_allclose(found.weight - found.weight.mean(0), oracle.coef_, atol=1e-4)
    np.testing.assert_allclose(
        found.bias - found.bias.mean(), oracle.intercept_ - oracle.intercept_.mean(), atol=1e-4
    )


def test_two_classes_share_the_penalty() -> None:
    values, penalty = classes(2), 1e-2
    found = fit("single", values, penalty)
    # Two rows of weights of opposite signs have half the square of their difference.
    oracle = LogisticRegression(C=2 / (penalty * N), tol=1e-10, max_iter=10_000).fit(
        held().values.astype(np.float64), values
    )
    np.testing.assert_allclose(found.weight[1] - found.weight[0], oracle.coef_[0], atol=1e-4)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_several_labels_are_one_against_the_rest(weights: ClassWeights) -> None:
    codes, penalty = classes(4), 1e-2
    values = np.stack([codes == 0, codes <= 1, codes % 2 == 1], axis=1).astype(np.int8)
    found = fit("multi_label", values, penalty, weights)
    for k in range(3):
        oracle = LogisticRegression(
            C=1 / (penalty * N), tol=1e-10, max_iter=10_000, class_weight=None if weights == "none" else "balanced"
        ).fit(held().values.astype(np.float64), values[:, k])
        np.testing.assert_allclose(found.weight[k], oracle.coef_[0], atol=1e-4)
        np.testing.assert_allclose(found.bias[k], oracle.intercept_[0], atol=1e-4)


def test_ridge_regression() -> None:
    values, penalty = 1000.0 + 50 * classes(4) + np.random.default_rng(2).normal(size=N), 1e-2
    found = fit("regression", values, penalty)
    oracle = Ridge(alpha=penalty * N).fit(held().values.astype(np.float64), values)
    np.testing.assert_allclose(found.weight[0], oracle.coef_, atol=1e-4)
    np.testing.assert_allclose(found.bias[0], oracle.intercept_, atol=1e-4)


def test_folding_gives_the_same_outputs_on_plain_features() -> None:
    values = classes(3)
    found = fit("single", values, 1e-3)
    features = FeatureArrays({9: ROWS})
    scaling = scaling_of(view_blocks(features, View((9,)), np.arange(N)))
    weight, bias = scaling.folded(found.weight, found.bias)
    assert np.all(weight[:, 7] == 0), "nothing is taken from a constant dimension"
    np.testing.assert_allclose(ROWS @ weight.T + bias, held().values @ found.weight.T + found.bias, atol=1e-5)


def test_a_scratch_file_changes_nothing() -> None:
    in_file = held(max_bytes=4 * N * D - 1).values
    assert isinstance(in_file, np.memmap)
    assert not isinstance(held(max_bytes=4 * N * D).values, np.memmap)
    np.testing.assert_array_equal(in_file, held().values)


def test_a_start_saves_passes_and_ends_at_the_same_minimum() -> None:
    values = classes(3)
    targets = Targets("single", ("a", "b", "c"), values)
    data = prepared("single", values, row_weights(targets, "none"), 3)
    far = fit_linear(data, 1e-3)
    near = fit_linear(data, 1e-3, start=far)
    assert near.num_passes < far.num_passes <= 40
    np.testing.assert_allclose(near.weight, far.weight, atol=1e-4)


def test_what_is_near_enough_to_compare_takes_fewer_passes() -> None:
    values = classes(4)
    data = prepared("single", values, np.ones(N), 4)
    rough, exact = (fit_linear(data, 1e-4, is_exact=is_exact) for is_exact in (False, True))
    assert rough.num_passes < exact.num_passes
    losses = [log_loss(values, softmax(held().values @ fit.weight.T + fit.bias, axis=1)) for fit in (rough, exact)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)

"""Temperatures that are known."""

import numpy as np
import pytest
from scipy.special import expit

from jobs.fit.labels.targets import Targets
from jobs.fit.training.temperature import fit_temperature


def test_the_temperature_of_drawn_labels_is_found() -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(40_000, 3))
    values = np.argmax(logits / 1.6 + generator.gumbel(size=logits.shape), axis=1)
    assert fit_temperature(logits, Targets("single", ("a", "b", "c"), values)) == pytest.approx(1.6, rel=0.03)


def test_of_several_labels() -> None:
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(40_000, 2))
    values = (generator.random(logits.shape) < expit(logits / 0.5)).astype(np.int8)
    assert fit_temperature(logits, Targets("multi_label", ("a", "b"), values)) == pytest.approx(0.5, rel=0.03)


def test_values_have_none_and_rows_that_are_all_right_have_a_finite_one() -> None:
    assert fit_temperature(np.ones((3, 1)), Targets("regression", ("v",), np.arange(3.0))) == 1
    certain = fit_temperature(np.array([[3.0, 0.0], [0.0, 3.0]]), Targets("single", ("a", "b"), np.array([0, 1])))
    assert 0 < certain < 0.1

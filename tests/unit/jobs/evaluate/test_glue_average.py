"""GLUE's averages: which tasks they are over, and that their rule is said."""

import numpy as np
import pytest

from jobs.evaluate.glue_average import glue_averages
from jobs.evaluate.results import Measured

NINE = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


def scores(*names: str) -> dict[str, Measured]:
    return {name: Measured(n / 10, np.full(4, n / 10)) for n, name in enumerate(names)}


def test_nine_tasks_and_eight_without_wnli() -> None:
    found = glue_averages(scores(*NINE, "ax"))
    assert [(rule.partition(",")[0], figure.value) for rule, figure in found.items()] == [
        ("mean of the nine tasks", pytest.approx(0.4)),
        ("mean of the eight without WNLI", pytest.approx(0.35)),
    ]


def test_eight_tasks() -> None:
    [(rule, figure)] = glue_averages(scores(*NINE[:-1], "ax")).items()
    assert rule.startswith("mean of the eight without WNLI")
    assert figure.value == pytest.approx(0.35)


def test_fewer_tasks_are_named() -> None:
    [(rule, figure)] = glue_averages(scores("rte", "ax", "cola")).items()
    assert rule == "mean of 2 of the nine tasks (cola, rte), which no other figure compares with"
    assert figure.value == pytest.approx(0.1)
    assert glue_averages(scores("rte", "ax")) == {}
    assert glue_averages({}) == {}


def test_the_interval_is_that_of_the_mean() -> None:
    one, other = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])
    [figure] = glue_averages({"cola": Measured(0.5, one), "rte": Measured(0.5, other)}).values()
    assert (figure.low, figure.high) == (0.5, 0.5)

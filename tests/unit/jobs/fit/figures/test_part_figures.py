"""Figures of a part against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support

from jobs.fit.figures.part_figures import PartFigures, part_figures
from jobs.fit.fitted_head import Floats, Problem
from jobs.fit.labels.targets import RowFacts, Targets

N = 300
GENERATOR = np.random.default_rng(0)
OUTPUTS = GENERATOR.normal(size=(N, 3))
CODES = np.argmax(OUTPUTS + GENERATOR.gumbel(size=(N, 3)), axis=1)
SETS = (OUTPUTS + GENERATOR.logistic(size=(N, 3)) > 0).astype(np.int8)
FACTS = RowFacts([n // 2 for n in range(N)], ["de", "de", "sw"] * (N // 3))
ROWS, FIT = np.arange(100, N), np.arange(100)


def figures(problem: Problem, outputs: Floats, values: np.ndarray, temperature: float = 1.0) -> PartFigures:
    names = ("a", "b", "c") if problem != "regression" else ("v",)
    targets = Targets(problem, names, values)
    return part_figures(outputs[ROWS], temperature, targets, FACTS, ROWS, FIT, 200, 0)


def test_single_labels() -> None:
    found = figures("single", OUTPUTS, CODES, temperature=0.5)
    predicted = OUTPUTS[ROWS].argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(CODES[ROWS], predicted)
    assert [label.precision for label in found.labels] == pytest.approx(list(precision))
    assert [label.recall for label in found.labels] == pytest.approx(list(recall))
    assert [label.f1.value for label in found.labels] == pytest.approx(list(f1))
    assert [label.support for label in found.labels] == list(support)
    assert found.overall["macro_f1"].value == pytest.approx(f1.mean())
    assert found.confusion == confusion_matrix(CODES[ROWS], predicted).tolist()
    assert found.baseline["accuracy"] == pytest.approx(np.mean(CODES[ROWS] == np.bincount(CODES[FIT]).argmax()))
    german = [row for row in ROWS if row % 3 != 2]
    assert found.languages["de"].num_rows == len(german)
    right = np.mean(OUTPUTS[german].argmax(axis=1) == CODES[german])
    assert found.languages["de"].figures["accuracy"].value == pytest.approx(right)
    assert found.calibrated is not None
    assert found.uncalibrated is not None
    assert found.calibrated.expected_error != found.uncalibrated.expected_error
    for figure in (*found.overall.values(), *(label.f1 for label in found.labels)):
        assert figure.low < figure.value < figure.high


def test_sets_of_labels() -> None:
    found = figures("multi_label", OUTPUTS, SETS)
    _, _, f1, _ = precision_recall_fscore_support(SETS[ROWS], OUTPUTS[ROWS] >= 0)
    assert [label.f1.value for label in found.labels] == pytest.approx(list(f1))
    expected = average_precision_score(SETS[ROWS], OUTPUTS[ROWS], average="macro")
    assert found.overall["macro_average_precision"].value == pytest.approx(expected)
    assert found.confusion == []


def test_values() -> None:
    values = OUTPUTS[:, 0] + GENERATOR.normal(size=N)
    found = figures("regression", OUTPUTS[:, :1], values)
    assert found.overall["spearman"].value == pytest.approx(spearmanr(values[ROWS], OUTPUTS[ROWS, 0]).statistic)
    assert found.baseline["spearman"] == 0
    assert found.baseline["mae"] == pytest.approx(np.abs(values[ROWS] - values[FIT].mean()).mean())
    assert found.calibrated is None
    assert found.labels == []

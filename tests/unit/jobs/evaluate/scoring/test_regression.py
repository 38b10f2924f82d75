"""Values, from a folder to results."""

from pathlib import Path

import pytest
from scipy.stats import pearsonr, spearmanr

from tests.unit.jobs.evaluate.finished import (
    examples_of,
    own_task_of,
    results_of,
    subset_of,
    task_of,
    values,
    write_evaluation,
)

OWN = own_task_of("regression", "mae", "pearson", "spearman")


def test_correlations_by_scipy_with_the_mean_in_place_of_a_failed_row(tmp_path: Path) -> None:
    task = task_of("glue", "stsb")
    gold, found = [0.0, 1.5, 3.0, 5.0, 2.0], [0.5, 1.0, None, 4.5, 4.0]
    columns = {"text": ["a"] * 5, "text_pair": ["b"] * 5, "gold": gold}
    write_evaluation(tmp_path, "glue", task, {"all": (examples_of(task, columns), values(found))})
    result = subset_of(tmp_path, task)
    filled = [2.5 if value is None else value for value in found]
    assert result["figures"]["pearson"]["value"] == pytest.approx(pearsonr(gold, filled).statistic)
    assert result["figures"]["spearman"]["value"] == pytest.approx(spearmanr(gold, filled).statistic)
    assert result["failed"] == [[2, "no text"]]
    score = results_of(tmp_path)["tasks"]["stsb"]["score"]["value"]
    expected = (pearsonr(gold, filled).statistic + spearmanr(gold, filled).statistic) / 2
    assert score == pytest.approx(expected)


def test_errors_are_in_the_unit_of_the_data(tmp_path: Path) -> None:
    columns = {"text": list("ab"), "gold": [10.0, 20.0]}
    found = {"all": (examples_of(OWN, columns), values([11.0, 17.0]))}
    write_evaluation(tmp_path, "text-classification", OWN, found)
    assert subset_of(tmp_path, OWN)["figures"]["mae"]["value"] == pytest.approx(2.0)
    # A mean of an error and two correlations would mean nothing.
    assert results_of(tmp_path)["tasks"]["own"]["score"] is None


@pytest.mark.parametrize("found", [[None, None], [float("nan"), None], [1.0, 1.0]])
def test_nothing_is_nan(tmp_path: Path, found: list[float | None]) -> None:
    columns = {"text": list("ab"), "gold": [1.0, 2.0]}
    write_evaluation(tmp_path, "text-classification", OWN, {"all": (examples_of(OWN, columns), values(found))})
    figures = subset_of(tmp_path, OWN)["figures"]
    assert figures["pearson"]["value"] == figures["spearman"]["value"] == 0.0
    assert figures["mae"]["value"] == 0.5


def test_one_row(tmp_path: Path) -> None:
    columns = {"text": ["a"], "gold": [1.0]}
    write_evaluation(tmp_path, "text-classification", OWN, {"all": (examples_of(OWN, columns), values([3.0]))})
    figures = subset_of(tmp_path, OWN)["figures"]
    assert figures["mae"] == {"value": 2.0, "low": 2.0, "high": 2.0}

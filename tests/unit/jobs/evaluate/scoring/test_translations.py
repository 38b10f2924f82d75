"""Scores of translations, from a folder to results."""

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from jobs.evaluate.command import main
from jobs.evaluate.scoring.translations import OF_ROWS, OF_SEGMENTS, OF_SYSTEMS
from tests.unit.jobs.evaluate.finished import (
    examples_of,
    own_task_of,
    qualities,
    results_of,
    subset_of,
    write_evaluation,
)

TASK = own_task_of("translation-quality", *OF_ROWS, *OF_SEGMENTS, *OF_SYSTEMS)
OF_ROWS_ALONE = own_task_of("translation-quality", *OF_ROWS)
GOLD = [90.0, 70.0, 70.0, 40.0, 85.0, 30.0]
SCORES = [0.9, 0.81, 0.8, 0.3, 0.5, 0.6]
COLUMNS: dict[str, Any] = {
    "source": ["a", "a", "a", "b", "b", "b"],
    "translation": list("uvwxyz"),
    "gold": GOLD,
    "system": ["one", "two", "three"] * 2,
    "segment": ["1"] * 3 + ["2"] * 3,
}


def test_correlations_of_rows_by_scipy(tmp_path: Path) -> None:
    write_evaluation(
        tmp_path, "mt-quality", OF_ROWS_ALONE, {"en-de": (examples_of(OF_ROWS_ALONE, COLUMNS), qualities(SCORES))}
    )
    figures = subset_of(tmp_path, OF_ROWS_ALONE, "en-de")["figures"]
    for name, function in {"pearson": pearsonr, "spearman": spearmanr, "kendall": kendalltau}.items():
        assert figures[name]["value"] == pytest.approx(function(GOLD, SCORES).statistic, abs=1e-6)
    assert list(figures) == [*OF_ROWS]
    notes = results_of(tmp_path)["notes"]
    assert len(notes) == 2
    assert "acc_eq" in notes[0]
    assert "--system" in notes[1]


def test_segments_and_systems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_evaluation(tmp_path, "mt-quality", TASK, {"en-de": (examples_of(TASK, COLUMNS), qualities(SCORES))})
    found = subset_of(tmp_path, TASK, "en-de")
    # With ties up to 0.01 the first segment is right; in the second one the last translation is put first.
    assert found["details"]["tie_threshold"] == pytest.approx(0.01, abs=1e-6)
    assert found["figures"]["acc_eq"]["value"] == pytest.approx((1 + 1 / 3) / 2)
    assert [each["system"] for each in found["details"]["systems"]] == ["two", "one", "three"]
    assert found["details"]["systems"][0] == {
        "system": "two", "num_rows": 2, "gold": 77.5, "score": pytest.approx(0.655, abs=1e-6)
    }  # fmt: skip
    # Means: one 65 and 0.6, two 77.5 and 0.655, three 50 and 0.7.
    assert found["figures"]["system_accuracy"]["value"] == pytest.approx(1 / 3)
    expected = pearsonr([65, 77.5, 50], [0.6, 0.655, 0.7]).statistic
    assert found["figures"]["system_pearson"]["value"] == pytest.approx(expected, abs=1e-5)
    assert results_of(tmp_path)["notes"] == []
    assert main(["--score-only", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for name in ("Kendall", "acc_eq", "systems Pearson", "systems accuracy"):
        assert name in " ".join(shown.split())


def test_language_pairs_are_averaged_and_failed_rows_named(tmp_path: Path) -> None:
    failed = [*SCORES[:5], None]
    subsets = {
        "en-de": (examples_of(TASK, COLUMNS), qualities(SCORES)),
        "en-zh": (examples_of(TASK, COLUMNS), qualities(failed)),
    }
    write_evaluation(tmp_path, "mt-quality", TASK, subsets)
    task = results_of(tmp_path)["tasks"]["own"]
    values = [task["subsets"][name]["figures"]["pearson"]["value"] for name in subsets]
    assert task["averages"]["mean"]["figures"]["pearson"]["value"] == pytest.approx(sum(values) / 2)
    filled = [*SCORES[:5], sum(SCORES[:5]) / 5]
    assert values[1] == pytest.approx(pearsonr(GOLD, filled).statistic, abs=1e-6)
    assert task["subsets"]["en-zh"]["failed"] == [[5, "no text"]]
    assert task["score"] is None

"""Tables on the terminal, as CSV and as Markdown: all figures, published ones beside."""

import csv
import io
from pathlib import Path

import pytest

from jobs.evaluate.tables import as_csv, as_markdown, print_result
from tests.unit.jobs.evaluate.finished import (
    answers,
    classes,
    examples_of,
    own_task_of,
    scored_folder,
    task_of,
    values,
    write_evaluation,
)

OWN = own_task_of("classification", "accuracy")


def write_mlqa(path: Path, *languages: str) -> None:
    task = task_of("mlqa")
    columns = {"question": ["q"] * 2, "context": list("cd"), "gold": [["x"], ["y"]]}
    subsets = {name: (examples_of(task, columns), answers(["x", "z"])) for name in languages}
    write_evaluation(path, "mlqa", task, subsets)


def test_a_system_may_have_published_figures_of_several_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mlqa(tmp_path, *task_of("mlqa").subsets)
    result, _ = scored_folder(tmp_path)
    print_result(result)
    lines = capsys.readouterr().out.splitlines()
    english = next(line for line in lines if line.startswith("en "))
    mean = next(line for line in lines if line.startswith("mean of 7"))
    assert [english.split()[-4:], mean.split()[-4:]] == [
        ["85.1", "72.6", "85.5", "72.4"],
        ["73.4", "55.3", "74.8", "56.6"],
    ]
    row = next(line for line in as_markdown(result).splitlines() if line.startswith("| en "))
    assert row.endswith("| 85.1 | 72.6 | 85.5 | 72.4 |")


def test_a_published_mean_stands_beside_a_mean_of_all_languages_only(tmp_path: Path) -> None:
    write_mlqa(tmp_path, "en", "hi")
    row = next(line for line in as_markdown(scored_folder(tmp_path)[0]).splitlines() if line.startswith("| mean"))
    assert row.endswith("|  |  |  |  |")


def test_the_best_threshold_is_in_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("squad_v2")
    columns = {"question": ["q"] * 2, "context": list("cd"), "gold": [["x"], []]}
    found = answers(["x", "y"], [0.0, 0.0], [1.0, 2.0])
    write_evaluation(tmp_path, "squad_v2", task, {"all": (examples_of(task, columns), found)}, split="validation")
    result, _ = scored_folder(tmp_path)
    print_result(result)
    assert "best EM" in capsys.readouterr().out
    rows = {row["metric"]: row["value"] for row in csv.DictReader(io.StringIO(as_csv(result)))}
    assert rows == {"exact_match": "50.0", "f1": "50.0", "best_exact_match": "100.0", "best_f1": "100.0"}
    heading = as_markdown(result).splitlines()[0]
    assert heading == "| squad_v2 validation | rows | F1 | EM | best EM | best F1 |"


def test_errors_are_not_in_percent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = own_task_of("regression", "mae", "pearson", "spearman")
    columns = {"text": list("abc"), "gold": [0.0, 0.5, 1.0]}
    found = {"all": (examples_of(task, columns), values([0.01, 0.51, 1.01]))}
    write_evaluation(tmp_path, "text-classification", task, found)
    result, _ = scored_folder(tmp_path)
    print_result(result)
    assert "0.010 [0.010, 0.010]" in capsys.readouterr().out
    assert "| all | 3 | 0.010 [0.010, 0.010] | 100.0" in as_markdown(result)


ODD = ["zh/CN", "a.b", "", "_x", "日本語", "[bold]", "a|b", "two\nlines", "esc\x1b[31m", "x" * 300]


def test_subsets_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Values of a column of one's own data: each has files of its own, and a line of its own in all tables."""
    columns = {"text": list("ab"), "gold": ["yes", "no"]}
    subsets = {
        name: (examples_of(OWN, columns), classes(["yes", "no" if place % 2 else "yes"]))
        for place, name in enumerate(ODD)
    }
    write_evaluation(tmp_path, "text-classification", OWN, subsets, labels={"yes": "yes", "no": "no"})
    result, _ = scored_folder(tmp_path)
    found = result.tasks["own"].subsets
    assert {name: found[name].figures["accuracy"].value for name in ODD} == {
        name: 1.0 if place % 2 else 0.5 for place, name in enumerate(ODD)
    }
    print_result(result)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[bold]" in shown
    assert r"two\nlines" in shown
    markdown = as_markdown(result).splitlines()
    assert len(markdown) == 2 + len(ODD) + 1
    assert {line.replace("\\|", "").count("|") for line in markdown} == {4}
    assert [row["subset"] for row in csv.DictReader(io.StringIO(as_csv(result)))][:4] == ["zh/CN", "a.b", "", "_x"]


def test_the_first_failed_rows_are_named_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"text": ["t"] * 8, "gold": ["yes"] * 8}
    found = {"two\nlines": (examples_of(OWN, columns), [None] * 8)}
    write_evaluation(tmp_path, "text-classification", OWN, found, labels={"yes": "yes"})
    print_result(scored_folder(tmp_path)[0])
    shown = capsys.readouterr().out.splitlines()
    named = [line for line in shown if line.startswith("failed, counted as wrong")]
    assert named[0] == r"failed, counted as wrong: two\nlines row 0: no text"
    assert len(named) == 5
    assert "and 3 more, see results.json" in shown

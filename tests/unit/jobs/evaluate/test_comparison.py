"""Two evaluations side by side."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from jobs.evaluate.command import main
from jobs.evaluate.comparison import compare, compared_task
from pipeline.errors import InputError
from tests.unit.jobs.evaluate.finished import (
    answers,
    classes,
    examples_of,
    own_task_of,
    scored_folder,
    task_of,
    values,
    words,
    write_evaluation,
)

XNLI = task_of("xnli")
NLI = list(XNLI.labels)
GOLD = [NLI[row % 3] for row in range(60)]


def wrong(label: str) -> str:
    return NLI[(NLI.index(label) + 1) % 3]


def write_nli(path: Path, wrong_rows: set[int], *languages: str, num_rows: int = 60, **more: Any) -> str:
    """XNLI with these rows wrong in each language."""
    columns = {"text": ["t"] * num_rows, "text_pair": ["p"] * num_rows, "gold": GOLD[:num_rows]}
    found = [wrong(label) if row in wrong_rows else label for row, label in enumerate(GOLD[:num_rows])]
    subsets = {language: (examples_of(XNLI, columns), classes(found)) for language in languages or ("de",)}
    write_evaluation(path, "xnli", XNLI, subsets, **more)
    return str(path)


def compared(first: str, second: str, path: Path) -> list[dict[str, Any]]:
    compare(first, second, seed=0, json_file=str(path / "found.json"))
    found: list[dict[str, Any]] = json.loads((path / "found.json").read_text(encoding="utf-8"))
    return found


def test_mcnemar_the_bootstrap_and_flipped_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_nli(tmp_path / "a", set(range(12)))
    second = write_nli(tmp_path / "b", {10, 11, 40})
    [found] = compared(first, second, tmp_path)
    assert (found["first"], found["second"]) == (pytest.approx(48 / 60), pytest.approx(57 / 60))
    assert found["flipped"] == {"won": list(range(10)), "lost": [40]}
    assert found["mcnemar_p"] == pytest.approx(binomtest(10, 11).pvalue)
    difference = found["difference"]
    assert difference["difference"] == pytest.approx(9 / 60)
    # The normal approximation of the mean of per-row differences.
    each = np.array([1] * 10 + [-1] + [0] * 49)
    assert difference["high"] - difference["low"] == pytest.approx(2 * 1.96 * each.std() / 60**0.5, rel=0.1)
    assert difference["p_value"] < 0.01
    shown = capsys.readouterr().out
    assert "xnli de rows won: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more; lost: 40" in shown


def test_the_difference_is_paired(tmp_path: Path) -> None:
    """One row more is right in each resample that holds it, however much both vary."""
    scored = []
    for name, rows in (("a", set(range(30))), ("b", set(range(29)))):
        write_nli(tmp_path / name, rows)
        scored.append(scored_folder(tmp_path / name)[1]["xnli"])
    [found] = compared_task(*scored)
    assert found.difference.low >= 0
    assert found.difference.high <= 5 / 60


def test_equal_evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = write_nli(tmp_path / "a", {3}, "de", "fr")
    found = compared(both, both, tmp_path)
    assert [each["subset"] for each in found] == ["de", "fr", "mean of 2"]
    assert {each["difference"]["difference"] for each in found} == {0}
    assert {each["difference"]["p_value"] for each in found} == {1}
    assert [each["mcnemar_p"] for each in found] == [1, 1, None]
    assert "rows won" not in capsys.readouterr().out


def test_flipped_rows_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    """Rows without a gold are passed over, and keep their numbers."""
    task = own_task_of("classification", "accuracy")
    folders = []
    for name, found in (("a", ["x", "y", "y", "y"]), ("b", ["x", "y", "x", "x"])):
        table = examples_of(task, {"text": list("abcd"), "gold": [None, "x", "x", "y"]})
        folder = {"all": (table, classes(found))}
        write_evaluation(tmp_path / name, "text-classification", task, folder, labels={"x": "x", "y": "y"})
        folders.append(str(tmp_path / name))
    [found_of_both] = compared(folders[0], folders[1], tmp_path)
    assert found_of_both["flipped"] == {"won": [2], "lost": [3]}


@pytest.mark.parametrize("kind", ["answers", "values", "words"])
def test_every_kind_is_compared(tmp_path: Path, kind: str) -> None:
    chance = random.Random(4)
    folders = []
    for name in ("a", "b"):
        found: list[Any]
        if kind == "answers":
            task = task_of("squad_v2")
            columns = {"question": ["q"] * 20, "context": [f"c{row % 5}" for row in range(20)]}
            gold: list[Any] = [["x"], []] * 10
            found = answers([chance.choice(["x", "y"]) for _ in gold], None, [chance.random() - 0.5 for _ in gold])
        elif kind == "values":
            task = own_task_of("regression", "mae", "pearson", "spearman")
            columns, gold = {"text": ["t"] * 20}, [float(row) for row in range(20)]
            found = values([value + chance.random() for value in gold])
        else:
            task = task_of("udpos")
            columns, gold = {"words": [["w"] * 2] * 20}, [["NOUN", "VERB"]] * 20
            found = words([[chance.choice(["NOUN", "VERB"]) for _ in row] for row in gold])
        subset = {"all" if kind != "words" else "de": (examples_of(task, {**columns, "gold": gold}), found)}
        benchmark = "text-classification" if kind == "values" else task.name
        write_evaluation(tmp_path / name, benchmark, task, subset)
        folders.append(str(tmp_path / name))
    found = compared(folders[0], folders[1], tmp_path)
    assert {each["metric"] for each in found} >= set(task.metrics)
    for each in found:
        assert each["difference"]["difference"] == pytest.approx(each["second"] - each["first"])
        assert (each["mcnemar_p"] is not None) == (each["metric"] == "exact_match")


def test_tasks_and_languages_in_common_only(tmp_path: Path) -> None:
    first = write_nli(tmp_path / "a", {1}, "de", "fr", "sw")
    second = write_nli(tmp_path / "b", {2}, "fr", "sw", "ur")
    assert [each["subset"] for each in compared(first, second, tmp_path)] == ["fr", "sw", "mean of 2"]
    folders = []
    for name, tasks in (("c", ("rte", "sst2")), ("d", ("sst2", "cola"))):
        for task_name in tasks:
            task = task_of("glue", task_name)
            table = examples_of(task, {"text": ["t"], "gold": [task.labels[0]]})
            write_evaluation(tmp_path / name, "glue", task, {"all": (table, classes([task.labels[0]]))})
        folders.append(str(tmp_path / name))
    assert [each["task"] for each in compared(folders[0], folders[1], tmp_path)] == ["sst2"]


def test_other_examples_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_nli(tmp_path / "a", set())
    others = {
        "all subsets": write_nli(tmp_path / "b", set(), "fr"),
        "(de)": write_nli(tmp_path / "c", set(), num_rows=30),
    }
    for which, second in others.items():
        with pytest.raises(InputError) as caught:
            compare(first, second, seed=0, json_file=None)
        assert "--compare: found other examples of xnli" in str(caught.value)
        assert which in str(caught.value)
    task = task_of("glue", "sst2")
    table = examples_of(task, {"text": ["t"], "gold": ["positive"]})
    write_evaluation(tmp_path / "e", "glue", task, {"all": (table, classes(["positive"]))})
    assert main(["--compare", first, str(tmp_path / "e")]) == 2
    assert "expected evaluations of the same tasks; choose two of one benchmark" in capsys.readouterr().err


def test_without_golds_there_is_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("glue", "sst2")
    table = examples_of(task, {"text": ["t"], "gold": [None]})
    write_evaluation(tmp_path, "glue", task, {"all": (table, classes(["positive"]))})
    assert main(["--compare", str(tmp_path), str(tmp_path)]) == 2
    assert "found no gold labels" in capsys.readouterr().err

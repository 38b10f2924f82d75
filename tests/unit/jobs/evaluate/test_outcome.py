"""Scoring a finished annotation: figures, intervals, doubtful labels, failed rows, files, and running it again."""

import csv
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate.command import main
from jobs.evaluate.submission import FILES
from tests.unit.jobs.evaluate.finished import (
    choices,
    classes,
    examples_of,
    label_sets,
    own_task_of,
    task_of,
    write_evaluation,
)

NLI = ["entailment", "neutral", "contradiction"]


def written_results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "_manifest/results.json").read_text(encoding="utf-8"))
    return found


def write_nli(path: Path, accuracy: float, num_rows: int = 300, permuted: bool = False, **more: Any) -> None:
    """XNLI in two languages, predictions right with this probability; permuted: by a head with other names."""
    chance = random.Random(3)
    subsets = {}
    for language in ("de", "sw"):
        gold = [chance.choice(NLI) for _ in range(num_rows)]
        found = [label if chance.random() < accuracy else chance.choice(NLI) for label in gold]
        if permuted:
            found = [NLI[(NLI.index(label) + 1) % 3] for label in found]
        columns = {"text": ["a b"] * num_rows, "text_pair": ["c"] * num_rows, "gold": gold}
        subsets[language] = (examples_of(task_of("xnli"), columns), classes(found))
    write_evaluation(path, "xnli", task_of("xnli"), subsets, **more)


def test_figures_intervals_and_averages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nli(tmp_path, 0.8)
    assert main(["--score-only", str(tmp_path)]) == 0
    task = written_results(tmp_path)["tasks"]["xnli"]
    for subset in task["subsets"].values():
        figure = subset["figures"]["accuracy"]
        assert 0.75 < figure["value"] < 0.95
        assert 0.02 < figure["value"] - figure["low"] < 0.07
        assert 0.02 < figure["high"] - figure["value"] < 0.07
        assert 0.33 < subset["baseline"]["accuracy"] < 0.45
    values = [subset["figures"]["accuracy"]["value"] for subset in task["subsets"].values()]
    assert task["averages"]["mean"]["figures"]["accuracy"]["value"] == pytest.approx(sum(values) / 2)
    # Published means are over 15 languages, so none stands beside a mean of two.
    shown = capsys.readouterr().out
    mean = next(line for line in shown.splitlines() if line.startswith("mean of 2"))
    assert "85.4" not in mean
    assert "87.0" in shown  # XL on German


def test_published_rows_of_another_split_are_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nli(tmp_path, 0.8, split="validation")
    assert main(["--score-only", str(tmp_path)]) == 0
    assert "XLM-R" not in capsys.readouterr().out
    assert written_results(tmp_path)["tasks"]["xnli"]["published"] == []


def test_scoring_again_gives_the_same_bytes_but_for_the_time(tmp_path: Path) -> None:
    write_nli(tmp_path, 0.8)
    found = []
    for _ in range(2):
        assert main(["--score-only", str(tmp_path), "--report", str(tmp_path / "page.html")]) == 0
        results = written_results(tmp_path)
        time = results.pop("time")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert page == (tmp_path / "_manifest/report.html").read_text(encoding="utf-8")
        found.append((results, page.replace(time, "TIME")))
    assert found[0] == found[1]


def test_labels_in_another_order_are_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nli(tmp_path, 0.9, permuted=True)
    assert main(["--score-only", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "neutral stands for entailment" in error
    [remedy] = [word for word in error.split() if word.startswith("entailment=")]
    assert not (tmp_path / "_manifest/results.json").exists()
    assert main(["--score-only", str(tmp_path), "--labels", remedy]) == 0
    assert written_results(tmp_path)["tasks"]["xnli"]["score"]["value"] > 0.85
    assert main(["--score-only", str(tmp_path), "--labels", "as-given"]) == 0
    assert written_results(tmp_path)["tasks"]["xnli"]["score"]["value"] < 0.1


def test_chance_is_no_permutation(tmp_path: Path) -> None:
    write_nli(tmp_path, 0.0)
    assert main(["--score-only", str(tmp_path)]) == 0


def test_failed_and_lost_rows_count_as_wrong_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = task_of("glue", "sst2")
    gold = ["positive", "negative", "positive", "negative", None]
    examples = examples_of(task, {"text": list("abcde"), "gold": gold})
    predictions = classes(["positive", None, "positive", "negative", "negative"])
    write_evaluation(tmp_path, "glue", task, {"all": (examples, predictions)}, split="validation", rows_lost=2)
    assert main(["--score-only", str(tmp_path)]) == 3
    [result] = written_results(tmp_path)["tasks"]["sst2"]["subsets"].values()
    assert result["num_rows"] == 4
    assert result["figures"]["accuracy"]["value"] == 0.5
    assert result["failed"] == [[1, "no text"], [3, "its fragment failed"]]
    assert "row 1: no text" in capsys.readouterr().out


def test_glue_average_and_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two metrics are averaged first; predictions for secret golds go into the zip, the other files are filled."""
    mrpc, rte, stsb = (task_of("glue", name) for name in ("mrpc", "rte", "stsb"))
    pair = {"text": ["a"] * 4, "text_pair": ["b"] * 4}
    gold = ["equivalent", "equivalent", "not_equivalent", "equivalent"]
    found = classes(["equivalent", "not_equivalent", "not_equivalent", "equivalent"])
    write_evaluation(tmp_path, "glue", mrpc, {"all": (examples_of(mrpc, {**pair, "gold": gold}), found)})
    secret = examples_of(rte, {**pair, "gold": [None] * 4})
    labels = classes(["entailment", "not_entailment", None, "entailment"])
    write_evaluation(tmp_path, "glue", rte, {"all": (secret, labels)})
    values = [{"value": value} for value in (-1.0, 2.34567, 7.0, 5.0)]
    write_evaluation(tmp_path, "glue", stsb, {"all": (examples_of(stsb, {**pair, "gold": [None] * 4}), values)})
    assert main(["--score-only", str(tmp_path)]) == 0
    [task] = written_results(tmp_path)["tasks"].values()
    assert task["score"]["value"] == pytest.approx((0.75 + 0.8) / 2)
    shown = capsys.readouterr().out
    assert "RTE.tsv has 1 row without prediction (entailment)" in shown
    assert "filled, as their tasks were not run: CoLA.tsv, SST-2.tsv, QQP.tsv" in shown
    with zipfile.ZipFile(tmp_path / "_manifest/glue-submission.zip") as archive:
        assert archive.namelist() == [file.name for file in FILES]
        text = {name: archive.read(name).decode().splitlines() for name in archive.namelist()}
    assert text["RTE.tsv"] == [
        "index\tprediction", "0\tentailment", "1\tnot_entailment", "2\tentailment", "3\tentailment"
    ]  # fmt: skip
    assert text["MRPC.tsv"][1:] == ["0\t1", "1\t0", "2\t0", "3\t1"]
    assert text["STS-B.tsv"][1:] == ["0\t0.000", "1\t2.346", "2\t5.000", "3\t5.000"]
    fillers = {"CoLA.tsv": "1", "SST-2.tsv": "1", "QQP.tsv": "0", "WNLI.tsv": "0", "AX.tsv": "entailment"}
    for name, filler in fillers.items():
        rows = next(file.num_rows for file in FILES if file.name == name)
        assert text[name] == ["index\tprediction", *(f"{index}\t{filler}" for index in range(rows))]


def test_tables_as_csv_and_markdown(tmp_path: Path) -> None:
    write_nli(tmp_path, 0.8)
    assert main(["--score-only", str(tmp_path)]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "_manifest/results.csv").read_text(encoding="utf-8"))))
    assert [row["subset"] for row in rows] == ["de", "sw", "mean of 2"]
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    lines = (tmp_path / "_manifest/results.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| xnli test | rows | accuracy |")
    assert {line.count("|") for line in lines[:5]} == {lines[0].count("|")}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "expected one of BENCHMARK, --score-only and --compare"),
        (["xnli", "--score-only", "OUT"], "found BENCHMARK and --score-only"),
        (["--score-only", "OUT"], "found no evaluation in"),
        (["--score-only", "OUT", "--data", "d"], "--data: found beside --score-only"),
        (["--compare", "OUT", "OUT"], "found no evaluation in"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main([str(tmp_path / "out") if part == "OUT" else part for part in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("refused: ")
    assert named in error
    assert "expected" in error


def test_labels_of_one_task_among_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--labels is for one task; the remedy for one of several is a setting of that task."""
    for name in ("qnli", "rte"):
        task = task_of("glue", name)
        gold = list(task.labels) * 30
        found = [task.labels[1 - task.labels.index(label)] if name == "rte" else label for label in gold]
        examples = examples_of(task, {"text": ["a"] * 60, "text_pair": ["b"] * 60, "gold": gold})
        write_evaluation(tmp_path, "glue", task, {"all": (examples, classes(found))}, split="validation")
    assert main(["--score-only", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    remedy = '{"entailment"="not_entailment", "not_entailment"="entailment"}'
    assert f"add --set 'tasks.rte.labels={remedy}' to set them, or --set tasks.rte.labels=as-given" in error
    assert main(["--score-only", str(tmp_path), "--labels", "entailment=not_entailment"]) == 2
    error = capsys.readouterr().err
    assert "--labels: found for the tasks qnli, rte" in error
    assert "expected one task; run the evaluation again with --set tasks.TASK.labels.NAME=LABEL" in error


def test_labels_given_afterwards_must_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = own_task_of("multi-label", "micro_f1")
    examples = examples_of(own, {"text": ["a"], "gold": [["spam"]]})
    names = {name: name for name in ("spam", "news")}
    write_evaluation(
        tmp_path / "a", "text-classification", own, {"all": (examples, label_sets([[0.9, 0.1]]))}, labels=names
    )
    for labels, expected in (
        ("ham=spam", "no label for the gold spam"),
        ("news=spam", "several for news"),
        ("spam=ham", "expected a label of the head: spam, news"),
    ):
        assert main(["--score-only", str(tmp_path / "a"), "--labels", labels]) == 2
        assert expected in capsys.readouterr().err
    xcopa = task_of("xcopa")
    examples = examples_of(xcopa, {"prompt": ["p"], "choices": [["a", "b"]], "gold": [0]})
    write_evaluation(tmp_path / "b", "xcopa", xcopa, {"et": (examples, choices([0]))})
    assert main(["--score-only", str(tmp_path / "b"), "--labels", "a=b"]) == 2
    assert "--labels: found for multiple-choice, expected for classification" in capsys.readouterr().err


def test_without_any_gold_the_table_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("glue", "sst2")
    examples = examples_of(task, {"text": ["t"] * 2, "gold": [None] * 2})
    write_evaluation(tmp_path, "glue", task, {"all": (examples, classes(["positive"] * 2))})
    assert main(["--score-only", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Without gold labels, so in no figure: sst2" in shown
    assert "not complete: SST-2.tsv has 2 rows, expected 1,821" in shown


def test_what_cannot_be_written_is_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nli(tmp_path / "out", 0.8, num_rows=20)
    monkeypatch.chdir(tmp_path)
    assert main(["--score-only", "out", "--report", "/dev/full"]) == 2
    assert "--report: /dev/full cannot be written: No space left on device" in capsys.readouterr().err

"""From the command line to results, with an annotation that predicts the gold, in place of a cluster."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.evaluate import run as evaluation
from jobs.evaluate.command import main, parse_arguments, settings_of
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.examples import BenchmarkTask
from pipeline.config.job import JobConfig
from pipeline.monitoring.messages import Messages
from tests.unit.jobs.evaluate.finished import classes, own_task_of, part_of, subset_of, task_of
from tests.unit.jobs.evaluate.hub_files import nli, write
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

NLI = ["entailment", "neutral", "contradiction"]
Run = Callable[..., int]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, labels in {"nli": NLI, "odd": ["a,b", "c=d"]}.items():
        heads = frozenset({"classifier"})
        tiny_checkpoint(root / name, heads=heads, id2label=dict(enumerate(labels)))
    return root


@pytest.fixture
def run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder of its own; parts of earlier versions of the examples stay where they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "_cluster", lambda address: address)
    monkeypatch.setattr(evaluation, "prepare", lambda job, _: SimpleNamespace(job=job, identity={"code": "0"}))
    monkeypatch.setattr(evaluation, "annotate", _annotate)
    # Drawing takes most of the time of a run.
    monkeypatch.setattr("jobs.evaluate.outcome.render_page", lambda _: "page")

    def in_place(*arguments: str) -> int:
        return main([re.sub("(^|=)@", rf"\g<1>{models}/", part) for part in arguments])

    return in_place


def _annotate(prepared: SimpleNamespace, *_: Any) -> int:
    job: JobConfig = prepared.job
    output = Path(job.output.path)
    output.mkdir(parents=True, exist_ok=True)
    task = own_task_of("classification", "accuracy")
    for path in map(Path, job.input.path):
        version = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        table = pq.read_table(path)
        part = part_of(task, table, classes(table["gold"].to_pylist()))
        pq.write_table(part, output / f"{path.stem}.{version}.00000-of-00001.parquet")
    return 0


def accuracies(path: Path, task: BenchmarkTask) -> dict[str, tuple[int, float]]:
    """Rows and accuracy of each subset in results.json."""
    results = json.loads((path / "_manifest/results.json").read_text(encoding="utf-8"))
    subsets = results["tasks"][task.name]["subsets"]
    return {name: (found["num_rows"], found["figures"]["accuracy"]["value"]) for name, found in subsets.items()}


def write_xnli(*languages: str) -> None:
    for language in languages:
        write(Path(f"data/{language}/test-00000-of-00001.parquet"), nli(language, (0, 1, 2, 1, 0, 2)))


def test_another_limit_and_other_languages(run: Run, tmp_path: Path) -> None:
    write_xnli("de", "fr")
    given = ("xnli", "--data", "data", "--model", "@nli", "--output", "out")
    task = task_of("xnli")
    assert run(*given, "--limit", "4") == 0
    assert accuracies(tmp_path / "out", task) == {"fr": (4, 1.0), "de": (4, 1.0)}
    assert run(*given, "--limit", "2") == 0
    assert accuracies(tmp_path / "out", task) == {"fr": (2, 1.0), "de": (2, 1.0)}
    assert run(*given, "--languages", "de") == 0
    assert accuracies(tmp_path / "out", task) == {"de": (6, 1.0)}
    assert run(*given, "--languages", "fr") == 0
    assert accuracies(tmp_path / "out", task) == {"fr": (6, 1.0)}
    assert run("--score-only", "out") == 0


def test_ones_own_data_with_odd_values_and_labels(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = ["zh/CN", "a.b", "", "_x", "日本語", "*", "?q=1"]
    rows = {"text": ["t"] * 14, "gold": ["a,b", "c=d"] * 7, "lang": [value for value in values for _ in "ab"]}
    write(Path("data/rows.parquet"), rows)
    given = (
        "text-classification",
        "--data",
        "data",
        "--model",
        "@odd",
        "--columns",
        "text=text",
        "--gold",
        "gold",
    )
    assert run(*given, "--by", "lang", "--output", "out") == 0
    found = accuracies(tmp_path / "out", own_task_of("classification"))
    assert found == dict.fromkeys(sorted(values), (2, 1.0))
    # Names with commas can be given on the command line, and are doubted as others are.
    capsys.readouterr()
    assert run("--score-only", "out", "--labels", r"c\=d=a\,b,a\,b=c\=d") == 2
    assert r"add --labels 'a\,b=a\,b,c\=d=c\=d' to set them" in capsys.readouterr().err


def test_the_command_is_recorded_without_secrets(run: Run, tmp_path: Path, models: Path) -> None:
    write_xnli("de")
    given = ("xnli", "--data", "data", "--model", "@nli", "--output", "out")
    assert run(*given, "--address", "ray://name:secret@host:10001") == 0
    results = json.loads((tmp_path / "out/_manifest/results.json").read_text(encoding="utf-8"))
    command = f"xlmr-evaluate xnli --data data --model {models}/nli --output out --address ray://host:10001"
    assert results["command"] == command
    assert "secret" not in (tmp_path / "out/_manifest/evaluation.json").read_text(encoding="utf-8")


def test_the_diagnostic_set_is_left_out_where_it_is_not_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("matched", "mismatched"):
        write(Path(f"data/mnli/validation_{part}-00000-of-00001.parquet"), nli())
    assert run("glue", "--data", "data", "--model", "mnli=@nli", "--output", "out") == 0
    assert "ax: not evaluated, as its files are not there" in capsys.readouterr().err
    assert accuracies(tmp_path / "out", task_of("glue", "mnli"))["matched"] == (3, 1.0)
    # Asked for by its name, it is missed.
    assert run("glue", "--data", "data", "--model", "mnli=@nli,ax=@nli", "--output", "out") == 2
    assert run("glue/ax", "--data", "data", "--model", "@nli", "--output", "out") == 2


def test_the_diagnostic_set_takes_the_head_of_mnli(run: Run) -> None:
    write(Path("data/ax/test-00000-of-00001.parquet"), nli())
    for part in ("matched", "mismatched"):
        write(Path(f"data/mnli/validation_{part}-00000-of-00001.parquet"), nli())
    settings = settings_of(parse_arguments(["glue", "--data", "data", "--model", "mnli=m", "--head", "mnli=h"]))
    plans = {plan.task.name: plan for plan in evaluation.plan_tasks(settings, Messages())}
    assert (plans["ax"].model, plans["ax"].head, plans["ax"].split) == ("m", "h", "test")
    assert [task.name for task in evaluation.find_tasks(settings, DataFiles.open("data"))][-1] == "ax"
    settings = settings_of(
        parse_arguments(["glue", "--data", "data", "--model", "mnli=m", "--split", "validation"])
    )
    assert [plan.task.name for plan in evaluation.plan_tasks(settings, Messages())] == ["mnli"]


def test_a_half_annotated_folder_is_scored_as_it_is(run: Run, tmp_path: Path) -> None:
    write_xnli("de", "fr")
    assert run("xnli", "--data", "data", "--model", "@nli", "--output", "out") == 0
    [part] = (tmp_path / "out/xnli").glob("de.*")
    part.unlink()
    assert run("--score-only", "out") == 3
    assert accuracies(tmp_path / "out", task_of("xnli")) == {"fr": (6, 1.0), "de": (6, 0.0)}
    assert len(subset_of(tmp_path / "out", task_of("xnli"), "de")["failed"]) == 6

"""mt-quality from the command line to results, with an annotation that scores by hand, in place of a cluster."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.convert import main as convert
from jobs.evaluate import run as evaluation
from jobs.evaluate.command import main
from pipeline.config.job import JobConfig
from tests.comet.checkpoints import BY_NAME, DEMO_TOKENIZER, NUM_HEADS, write_raw
from tests.unit.jobs.evaluate.finished import own_task_of, part_of, qualities
from tests.unit.jobs.evaluate.hub_files import write

ROWS: dict[str, Any] = {
    "src": ["a", "a", "b", "b"] * 2,
    "mt": list("klmnopqr"),
    "ref": ["r", "r", "s", "s"] * 2,
    "da": [80, 60, 10, 20, 50, 40, 30, 70],
    "lp": ["en-de"] * 4 + ["en-zh"] * 4,
    "sys": ["x", "y"] * 4,
    "seg": [1, 1, 2, 2, 3, 3, 4, 4],
}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[JobConfig]:
    """The annotation jobs, in a folder of its own; a row's score is a hundredth of its judgement."""
    found: list[JobConfig] = []

    def annotate(prepared: SimpleNamespace, *_: Any) -> int:
        job: JobConfig = prepared.job
        found.append(job)
        output = Path(job.output.path)
        output.mkdir(parents=True, exist_ok=True)
        for path in map(Path, job.input.path):
            table = pq.read_table(path)
            scores = [gold / 100 for gold in table["gold"].to_pylist()]
            part = part_of(own_task_of("translation-quality"), table, qualities(scores))
            pq.write_table(part, output / f"{path.stem}.0123abcd.00000-of-00001.parquet")
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "_cluster", lambda address: address)
    monkeypatch.setattr(evaluation, "prepare", lambda job, _: SimpleNamespace(job=job, identity={"code": "0"}))
    monkeypatch.setattr(evaluation, "annotate", annotate)
    monkeypatch.setattr("jobs.evaluate.outcome.render_page", lambda _: "page")
    write(Path("data/test.parquet"), pa.table(ROWS))
    raw = write_raw(Path("raw"), BY_NAME["xcomet-sparsemax"], "facebook/xlm-roberta-xl")
    arguments = ["--num-attention-heads", str(NUM_HEADS), "--tokenizer", str(DEMO_TOKENIZER.parent)]
    assert convert([str(raw), "model", *arguments]) == 0
    return found


def test_scores_that_follow_the_judgements(jobs: list[JobConfig], capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("--columns", "source=src,translation=mt,reference=ref", "--language-pair", "lp")
    given = ("mt-quality", "--data", "data", "--model", "model", "--gold", "da", "--output", "out", *columns)
    assert main([*given, "--system", "sys", "--segment", "seg"]) == 0
    [job] = jobs
    head = job.heads["prediction"].model_dump()
    expected = {"task": "translation-quality", "source": "source", "translation": "translation"}
    assert {**expected, "reference": "reference"}.items() <= head.items()
    results = json.loads(Path("out/_manifest/results.json").read_text(encoding="utf-8"))
    subsets = results["tasks"]["own"]["subsets"]
    assert list(subsets) == ["en-de", "en-zh"]
    for found in subsets.values():
        assert {name: figure["value"] for name, figure in found["figures"].items()} == pytest.approx(
            dict.fromkeys(
                ("pearson", "spearman", "kendall", "acc_eq", "system_pearson", "system_accuracy"), 1.0
            ), abs=1e-6,
        )  # fmt: skip
    assert results["notes"] == []
    assert "systems" in capsys.readouterr().out


def test_without_references_and_without_columns_of_segments_and_systems(
    jobs: list[JobConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("mt-quality", "--data", "data", "--model", "model", "--gold", "da", "--output", "out")
    assert main([*given, "--columns", "source=src,translation=mt"]) == 0
    assert jobs[0].heads["prediction"].model_dump()["reference"] is None
    shown = " ".join(capsys.readouterr().out.split())
    assert "acc_eq is left out" in shown
    assert "Systems are not compared" in shown

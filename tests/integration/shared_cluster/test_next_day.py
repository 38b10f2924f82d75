"""The next day: an output follows its input, on a disk, as a first run on an object store would write it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.annotate.command import main
from tests.integration.conftest import forbid_ray
from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.object_store import KEY, SECRET, S3Server, files, s3_server, unmarked
from tests.integration.output_runs import run_once
from tests.integration.runs import parts
from tests.integration.shared_cluster.conftest import Annotated, Workbench
from tests.unit.pipeline.input_files import tree

BUCKET = "bucket"
FRESH = f"{BUCKET}/annotated"


@dataclass(frozen=True)
class Day:
    """An input that has changed, and the output of the day before."""

    inputs: Path
    output: Path

    @property
    def changes(self) -> dict[str, Any]:
        """Of a job, to one that does what is new."""
        return {"input": {"path": str(self.inputs)}, "output": {"path": str(self.output)}}


@pytest.fixture(scope="module")
def day(one_rank: Annotated, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A copy of the corpus with one file changed, one new and one removed; and of its output."""
    root = tmp_path_factory.mktemp("next-day")
    inputs, output = shutil.copytree(corpus.inputs, root / "in"), shutil.copytree(one_rank.output, root / "out")
    table = corpus.files["news/2024/a.parquet"]
    pq.write_table(pa.concat_tables([table, table.slice(0, 2)]), inputs / "news/2024/a.parquet")
    pq.write_table(table.slice(0, 3), inputs / "web/new.parquet")
    (inputs / "web/bad.parquet").unlink()
    return Day(inputs, output)


@pytest.fixture(scope="module")
def store(day: Day) -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket(BUCKET)
        server.upload(day.inputs, f"{BUCKET}/in")
        yield server


def test_the_plan_shows_what_is_different(
    day: Day, workbench: Workbench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid_ray(monkeypatch)
    before = tree(day.output)
    job_file = workbench.job("plan-next", **day.changes)
    assert main([str(job_file), "--plan"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "new 1: web/new.parquet changed 1: news/2024/a.parquet unchanged 2 removed 1, whose parts stay " in out
    assert "unless --prune-removed is given: web/bad.parquet" in out
    assert main([str(job_file), "--plan", "--prune-removed"]) == 0
    assert "removed 1, whose parts are deleted: web/bad.parquet" in " ".join(capsys.readouterr().out.split())
    assert tree(day.output) == before


@pytest.fixture(scope="module")
def increment(day: Day, workbench: Workbench) -> Annotated:
    """The run that does what is new."""
    return workbench.run("next", options=("--prune-removed",), **day.changes)


@pytest.fixture(scope="module")
def fresh(store: S3Server, workbench: Workbench) -> Annotated:
    """A first run on the same input by two replicas, from an object store to one."""
    job = job_on(store, workbench.corpus)
    return workbench.run("s3", overrides=("model.replicas=2",), input=job["input"], output=job["output"])


def job_on(store: S3Server, corpus: Corpus, **output: Any) -> dict[str, Any]:
    job = job_of(corpus)
    job["input"]["path"] = store.uri(f"{BUCKET}/in")
    job["output"] = {"path": store.uri(FRESH), **output}
    return job


def test_only_what_is_new_is_done(one_rank: Annotated, day: Day, increment: Annotated) -> None:
    finished = increment.finished
    assert finished.code == 0, finished
    assert "input: 1 file new, 1 changed, 2 unchanged, 1 removed: web/bad.parquet" in finished.stderr
    unchanged = list(one_rank.output.glob("news/2025/*.parquet"))
    assert unchanged
    for part in unchanged:
        kept = day.output / part.relative_to(one_rank.output)
        assert kept.read_bytes() == part.read_bytes()
        # The day's output is a copy, with the times of the original.
        assert kept.stat().st_mtime_ns == part.stat().st_mtime_ns


def test_the_output_is_that_of_a_first_run_and_the_same_on_an_object_store(
    day: Day, increment: Annotated, fresh: Annotated, store: S3Server
) -> None:
    assert increment.finished.code == 0, increment.finished
    assert fresh.finished.code == 0, fresh.finished
    assert f"in s3://{FRESH}, " in fresh.finished.stdout
    assert len(parts(day.output)) > 10
    assert unmarked(store.files(FRESH)) == unmarked(files(day.output))


def test_the_credentials_are_nowhere(
    fresh: Annotated,
    store: S3Server,
    workbench: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever is said and written, and whatever goes wrong."""
    said = fresh.finished.stdout + fresh.finished.stderr
    job = job_on(store, workbench.corpus)
    forbid_ray(monkeypatch)
    said += refused(workbench.root, [job_on(store, workbench.corpus, compression="snappy")], capsys)
    said += refused(workbench.root, [{**job, "input": {"path": store.uri("no-such-bucket/x")}}], capsys)
    said += refused(workbench.root, [{**job, "input": {"path": store.uri(f"{BUCKET}/none*")}}], capsys)
    unquoted = f"s3://{KEY}:{SECRET}@{BUCKET}/x"
    said += refused(workbench.root, [{**job, "output": {"path": f"{unquoted}?nonsense=1"}}], capsys)
    said += refused(workbench.root, [job, "--set", unquoted], capsys)
    assert main([str(write_job(workbench.root / "s3.toml", job)), "--plan"]) == 0
    assert main([str(workbench.root / "s3.toml")]) == 0
    said += "".join(capsys.readouterr())
    for text in (said, *(data.decode(errors="replace") for data in store.files(FRESH).values())):
        for secret in (KEY, SECRET, "se%2Fcret"):
            assert secret not in text


def refused(root: Path, arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    job, *options = arguments
    assert main([str(write_job(root / "refused.toml", job)), *options]) == 2
    return "".join(capsys.readouterr())


@pytest.mark.slow
def test_a_restart_replaces_the_output_of_another_run(
    one_rank: Annotated, workbench: Workbench, corpus: Corpus, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run_once(str(corpus.inputs), str(output))
    changes = {"output": {"path": str(output)}}
    assert main([str(workbench.job("restart", **changes))]) == 2
    run = workbench.run("restart", options=("--restart",), **changes)
    assert run.finished.code == 0, run.finished
    assert tree(output) == tree(one_rank.output)

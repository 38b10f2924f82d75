"""Runs that have nothing to compute, so that no cluster is needed: what they write, and in which order."""

import time
from pathlib import Path
from typing import NoReturn

import pytest
import ray

from pipeline.config.job import JobConfig
from pipeline.driver import local_device
from pipeline.driver.prepared_run import PreparedRun, RunOptions, prepare_run
from pipeline.driver.run import RunResult, execute_run
from pipeline.errors import ConfigError
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.output.call_history import CallHistory
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint
from tests.unit.pipeline.input_files import rows, tree, write


@pytest.fixture
def job(tmp_path: Path) -> JobConfig:
    write(tmp_path / "in" / "none.parquet", rows(0))
    return JobConfig.model_validate(
        {
            "model": {"path": str(tiny_checkpoint(tmp_path / "model"))},
            "input": {"path": str(tmp_path / "in")},
            "output": {"path": str(tmp_path / "out")},
            "heads": {"vector": {"task": "embedding"}},
        }
    )


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(**_: object) -> NoReturn:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(ray, "init", forbidden)


def execute(prepared: PreparedRun) -> RunResult:
    messages = Messages()
    return execute_run(prepared, "local", messages, Phases(messages))


def test_preparing_writes_nothing(job: JobConfig, tmp_path: Path) -> None:
    before = tree(tmp_path)
    prepared = prepare_run(job, RunOptions(), print)
    assert prepared.folder == prepared.output
    assert (prepared.output_name, len(prepared.plan.fragments)) == (f"{tmp_path}/out", 0)
    assert tree(tmp_path) == before


def test_a_run_without_rows_is_done_at_once(job: JobConfig, tmp_path: Path) -> None:
    result = execute(prepare_run(job, RunOptions(), print))
    assert (result.num_fragments, result.counts, result.failures, result.is_done) == (0, None, [], True)
    assert list(result.phases) == ["committing"]
    assert (tmp_path / "out/_SUCCESS").is_file()
    assert not list((tmp_path / "out/_manifest/lease").iterdir())


def test_a_restart_works_in_a_folder_of_its_own_and_replaces_the_output(job: JobConfig, tmp_path: Path) -> None:
    execute(prepare_run(job, RunOptions(), print))
    before = tree(tmp_path / "out")
    prepared = prepare_run(job, RunOptions(is_restart=True), print)
    assert prepared.folder == prepared.output.restarted
    assert execute(prepared).is_done
    assert tree(tmp_path / "out") == before


def with_auto_fragments(job: JobConfig, replicas: int) -> JobConfig:
    model = job.model.model_copy(update={"replicas": replicas})
    sizes = job.input.model_copy(update={"max_fragment_rows": "auto"})
    return job.model_copy(update={"model": model, "input": sizes})


def test_the_size_of_fragments_is_decided_when_an_output_is_begun(job: JobConfig, tmp_path: Path) -> None:
    write(tmp_path / "in" / "many.parquet", rows(5000))
    prepared = prepare_run(with_auto_fragments(job, 64), RunOptions(), print)
    assert [fragment.num_rows for fragment in prepared.plan.fragments] == [5000]
    (tmp_path / "in" / "many.parquet").unlink()
    assert execute(prepare_run(with_auto_fragments(job, 64), RunOptions(), print)).is_done
    write(tmp_path / "in" / "many.parquet", rows(5000))
    # Fewer replicas go on with it.
    assert prepare_run(with_auto_fragments(job, 1), RunOptions(), print).fragment_rows == 8192
    restarted = prepare_run(with_auto_fragments(job, 1), RunOptions(is_restart=True), print)
    assert [fragment.num_rows for fragment in restarted.plan.fragments] == [2048, 2048, 904]
    with pytest.raises(ConfigError, match=r"input.max_fragment_rows \(found \"auto\" there, expected 2048"):
        prepare_run(job, RunOptions(), print)


def test_an_output_that_another_run_has_begun_meanwhile_is_refused(job: JobConfig) -> None:
    slower = prepare_run(with_auto_fragments(job, 64), RunOptions(), print)
    execute(prepare_run(with_auto_fragments(job, 1), RunOptions(), print))
    with pytest.raises(ConfigError, match=r"has been begun with 2048 rows by now, expected 8192, .* again$"):
        execute(slower)


def test_a_device_that_this_machine_lacks_leaves_nothing_behind(
    job: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_device, "count_gpus", lambda: 0)
    before = tree(tmp_path)
    for changes in ({"device": "cuda"}, {"dtype": "float8"}):
        wrong = job.model_copy(update={"model": job.model.model_copy(update=changes)})
        prepared = prepare_run(wrong, RunOptions(), print)
        with pytest.raises(ConfigError, match=rf"^model\.{next(iter(changes))}: found "):
            execute(prepared)
        assert tree(tmp_path) == before
    assert execute(prepare_run(job, RunOptions(), print)).is_done


def test_a_run_that_needs_no_device_any_more_is_not_refused(
    job: JobConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job.model_copy(update={"model": job.model.model_copy(update={"device": "cuda"})})
    for num_gpus in (1, 0):
        monkeypatch.setattr(local_device, "count_gpus", lambda number=num_gpus: number)
        assert execute(prepare_run(job, RunOptions(), print)).is_done


def test_what_changed_in_the_input_is_told(
    job: JobConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "gone.parquet", rows(0))
    execute(prepare_run(job, RunOptions(), print))
    (tmp_path / "in" / "gone.parquet").unlink()
    capsys.readouterr()
    assert execute(prepare_run(job, RunOptions(prunes=True), print)).is_done
    told, committing = capsys.readouterr().err.splitlines()
    assert told == "input: 0 files new, 0 changed, 1 unchanged, 1 removed: gone.parquet (their parts are deleted)"
    assert committing.startswith("committing ")


def test_there_is_nothing_to_retry_without_an_earlier_run(job: JobConfig) -> None:
    with pytest.raises(ConfigError, match=r"^--retry-failed: found no earlier run in .*/out, expected"):
        prepare_run(job, RunOptions(retry_failed=True), print)
    execute(prepare_run(job, RunOptions(), print))
    assert execute(prepare_run(job, RunOptions(retry_failed=True), print)).num_fragments == 0


def test_each_call_is_recorded_also_across_a_restart(job: JobConfig, tmp_path: Path) -> None:
    for is_restart in (False, False, True):
        prepared = prepare_run(job, RunOptions(is_restart=is_restart), print)
        phases = Phases(print)
        phases.begin("checking", time.monotonic() - 7)
        command = ["job.toml", "s3://me:key@b/x"]
        result = execute_run(prepared, "local", Messages(), phases, command=command)
        assert list(result.phases) == ["checking", "committing"]
    calls = CallHistory(prepared.output).calls()
    assert [call.is_restart for call in calls] == [False, False, True]
    assert {(call.exit_code, call.in_all.num_fragments, call.todo.num_rows) for call in calls} == {(0, 0, 0)}
    assert all(call.end is not None and list(call.seconds) == ["checking", "committing"] for call in calls)
    assert all(call.seconds["checking"] >= 7 for call in calls)
    assert calls[0].command == ["job.toml", "s3://b/x"]


def test_nothing_else_is_changed_by_a_run_that_has_nothing_to_do(job: JobConfig, tmp_path: Path) -> None:
    execute(prepare_run(job, RunOptions(), print))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    execute(prepare_run(job, RunOptions(), print))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before

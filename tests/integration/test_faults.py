"""Processes are killed in the middle of a run: nothing is lost, nothing is done twice, nothing is left behind."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.annotate import main
from tests.integration.conftest import Annotated, Workbench, forbid_ray
from tests.integration.corpus import Corpus
from tests.integration.processes import Process, wait_for
from tests.integration.runs import Finished, Run, parts, started

LEADER = "ray::MapWorker(MapBatches(Annotator))"
RANK = "ray::Rank"
# Parts that are to be there before anything is killed: the run is well under way, and far from its end.
NUM_PARTS = 4
START_TIMEOUT_S = 120.0
TWO_RANKS = {"tensor_parallel_size": 2}


@pytest.fixture
def disturbed(workbench: Workbench, request: pytest.FixtureRequest) -> Iterator[tuple[Run, Path]]:
    """A run like `two_ranks`, under way; and where it writes."""
    name = request.node.name
    job_file = workbench.job(name, model=TWO_RANKS)
    options = ["--address", workbench.cluster.address]
    with started(job_file, *options, logs=workbench.root / f"{name}-logs") as run:
        wait_until_under_way(run, workbench.output(name))
        yield run, workbench.output(name)


def wait_until_under_way(run: Run, output: Path) -> None:
    def is_under_way() -> bool:
        assert run.process.poll() is None, run.finish()
        return num_finished(output) >= NUM_PARTS

    wait_for("parts", is_under_way, timeout_s=START_TIMEOUT_S)


def num_finished(output: Path) -> int:
    """Parts that the manifest knows."""
    return len(list(output.glob("_manifest/parts/**/*.json")))


def assert_undisturbed(finished: Finished, output: Path, two_ranks: Annotated, workbench: Workbench) -> None:
    """Exit code 0, the same bytes as if nothing had happened, and a cluster as it was before."""
    assert finished.code == 0, finished
    assert parts(output) == parts(two_ranks.output)
    assert f"done: {workbench.corpus.num_rows} rows in {len(parts(output))} parts" in finished.stdout
    wait_for("free cluster", workbench.cluster.is_free, timeout_s=15, interval_s=0.5)


def kill(process: Process) -> None:
    process.kill()
    wait_for("end of the process", lambda: not process.is_alive, timeout_s=10)


def test_the_death_of_a_rank_costs_a_rebuild_of_its_group(
    two_ranks: Annotated, disturbed: tuple[Run, Path], workbench: Workbench
) -> None:
    """One dies at work, one of the new group while it starts, one when the run is under way again."""
    run, output = disturbed
    [leader], first = workbench.cluster.actors(LEADER), workbench.cluster.actors(RANK)
    assert len(first) == 2
    kill(first[1])
    num_parts = num_finished(output)
    second = wait_for("new ranks", lambda: others(workbench, first), timeout_s=60)
    kill(second[0])
    third = wait_for("new ranks", lambda: others(workbench, [*first, *second]), timeout_s=60)
    wait_for("more parts", lambda: num_finished(output) > num_parts, timeout_s=60)
    kill(third[0])
    assert num_finished(output) < len(parts(two_ranks.output))
    assert leader.is_alive
    finished = run.finish()
    assert_undisturbed(finished, output, two_ranks, workbench)


def others(workbench: Workbench, known: list[Process]) -> list[Process]:
    """Ranks that have started since."""
    return [rank for rank in workbench.cluster.actors(RANK) if rank not in known]


def test_the_death_of_a_leader_takes_its_ranks_and_not_the_run(
    two_ranks: Annotated, disturbed: tuple[Run, Path], workbench: Workbench
) -> None:
    run, output = disturbed
    ranks = workbench.cluster.actors(RANK)
    [leader] = workbench.cluster.actors(LEADER)
    kill(leader)
    assert num_finished(output) < len(parts(two_ranks.output))
    wait_for("end of the ranks", lambda: not any(rank.is_alive for rank in ranks), timeout_s=30)
    finished = run.finish()
    assert_undisturbed(finished, output, two_ranks, workbench)


def test_a_killed_run_goes_on_where_it_was_and_a_file_that_cannot_be_read_does_not_stop_it(
    one_rank: Annotated,
    workbench: Workbench,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    inputs, output = shutil.copytree(corpus.inputs, tmp_path / "in"), tmp_path / "out"
    garbage = inputs / "web" / "garbage.parquet"
    garbage.write_bytes(b"PAR1" + bytes(100))
    job_file = workbench.job("resumed", input={"path": str(inputs)}, output={"path": str(output)})
    options = ["--address", workbench.cluster.address]
    with started(job_file, *options, logs=tmp_path / "first") as run:
        wait_until_under_way(run, output)
        run.process.kill()
        assert run.finish().code == -9
    wait_for("free cluster", workbench.cluster.is_free, timeout_s=60, interval_s=0.5)
    done = {path: path.stat().st_mtime_ns for path in output.glob("_manifest/parts/**/*.json")}
    assert NUM_PARTS <= len(done) < len(parts(one_rank.output))

    with started(job_file, *options, logs=tmp_path / "second") as run:
        finished = run.finish()
    assert finished.code == 3, finished
    assert f"; {len(done)} fragments were done before" in finished.stdout
    assert f"not read: {garbage}: " in finished.stderr
    assert parts(output) == parts(one_rank.output)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not list(output.glob("_incomplete/*"))

    forbid_ray(monkeypatch)
    assert main([str(job_file)]) == 3
    out, err = capsys.readouterr()
    assert out.startswith(f"nothing to do: all {len(parts(output))} fragments are in {output}")
    assert err.startswith(f"not read: {garbage}: ")

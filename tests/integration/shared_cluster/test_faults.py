"""Processes are killed in the middle of a run: nothing is lost, nothing is done twice, nothing is left behind."""

import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.annotate.command import main
from tests.integration.conftest import forbid_ray
from tests.integration.corpus import Corpus
from tests.integration.processes import Process, wait_for
from tests.integration.runs import Run, parts, started
from tests.integration.shared_cluster.conftest import TWO_RANKS, Annotated, Workbench

LEADER = "ray::MapWorker(MapBatches(Annotator))"
RANK = "ray::Rank"
# Parts that are to be there before anything is killed: the run is well under way, and far from its end.
NUM_PARTS = 4
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 30.0
STARTED_AGAIN = "a leader whose process had ended was started again on "


@pytest.fixture
def disturbed(workbench: Workbench, request: pytest.FixtureRequest) -> Iterator[tuple[Run, Path]]:
    """A run like `two_ranks`, under way; and where it writes."""
    name = request.node.name
    job_file = workbench.job(name, **TWO_RANKS)
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


def kill(process: Process) -> None:
    process.kill()
    wait_for("end of the process", lambda: not process.is_alive, timeout_s=10)


def test_the_death_of_ranks_and_of_their_leader_changes_nothing(
    two_ranks: Annotated, disturbed: tuple[Run, Path], workbench: Workbench
) -> None:
    """A rank dies at work, one of the new group while it starts, and when all is well again the leader."""
    run, output = disturbed
    [leader], first = workbench.cluster.actors(LEADER), workbench.cluster.actors(RANK)
    assert len(first) == 2
    kill(first[1])
    second = wait_for("new rank", lambda: ranks_beside(first, workbench), timeout_s=60)
    kill(second[0])
    num_parts = num_finished(output)

    def ranks_at_work() -> list[Process]:
        """A whole group, after more parts than can have been on their way."""
        ranks = ranks_beside([*first, second[0]], workbench)
        return ranks if len(ranks) == 2 and num_finished(output) > num_parts + NUM_PARTS else []

    third = wait_for("more parts", ranks_at_work, timeout_s=60)
    assert leader.is_alive
    kill(leader)
    assert num_finished(output) < len(parts(two_ranks.output))
    wait_for("end of the ranks", lambda: not any(rank.is_alive for rank in third), timeout_s=30)

    finished = run.finish()
    assert finished.code == 0, finished
    assert finished.stderr.count(STARTED_AGAIN) == 1, finished
    assert parts(output) == parts(two_ranks.output)
    assert f"done: {workbench.corpus.num_rows} rows in {len(parts(output))} parts" in finished.stdout
    workbench.cluster.wait_until_free()


@pytest.mark.slow
def test_the_death_of_a_rank_and_of_the_leader_on_this_machine_changes_nothing(
    two_ranks: Annotated, workbench: Workbench
) -> None:
    """The run starts Ray for itself, with few processes."""
    output = workbench.output("on-this-machine")
    job_file = workbench.job("on-this-machine", **TWO_RANKS)
    with started(job_file, logs=workbench.root / "on-this-machine-logs") as run:
        wait_until_under_way(run, output)
        titles = [process.title for process in run.look()]
        for unneeded in ("dashboard/dashboard.py", "monitor.py", "_StatsActor", "Autoscaling", "Tracker"):
            assert not [title for title in titles if unneeded in title]
        rank = next(process for process in run.look() if process.title.startswith(RANK))
        kill(rank)
        num_parts = num_finished(output)
        wait_for("more parts", lambda: num_finished(output) > num_parts + NUM_PARTS, timeout_s=90)
        kill(next(process for process in run.look() if process.title.startswith(LEADER)))
        finished = run.finish()
    assert finished.code == 0, finished
    assert finished.stderr.count(STARTED_AGAIN) == 1, finished
    assert parts(output) == parts(two_ranks.output)


def ranks_beside(known: list[Process], workbench: Workbench) -> list[Process]:
    """Living ranks that are not among those."""
    return [rank for rank in workbench.cluster.actors(RANK) if rank not in known]


SLOW_SIGNALS = (signal.SIGINT, signal.SIGKILL)
SIGNALS = [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in SLOW_SIGNALS)]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_is_ended_goes_on_where_it_was_and_a_file_that_cannot_be_read_does_not_stop_it(
    number: signal.Signals,
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
    expected = parts(one_rank.output)
    with started(job_file, *options, logs=tmp_path / "first") as run:
        wait_until_under_way(run, output)
        end(run, number)
    workbench.cluster.wait_until_free()
    done = {path: path.stat().st_mtime_ns for path in output.glob("_manifest/parts/**/*.json")}
    assert NUM_PARTS <= len(done) < len(expected)
    found = parts(output)
    assert found == {path: expected[path] for path in found}

    with started(job_file, *options, logs=tmp_path / "second") as run:
        finished = run.finish()
    assert finished.code == 3, finished
    assert f"{len(done)} fragments were done before" in finished.stdout
    assert f"not read: {garbage}: " in finished.stderr
    assert parts(output) == expected
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not list(output.glob("_incomplete/*"))

    forbid_ray(monkeypatch)
    assert main([str(job_file)]) == 3
    out, err = capsys.readouterr()
    assert out.startswith(f"nothing to do: all {len(expected)} fragments are in {output}")
    assert f"not read: {garbage}: " in err


def end(run: Run, number: signal.Signals) -> None:
    """Send a signal, and see that the run ends in order, if it can."""
    sent = time.monotonic()
    run.process.send_signal(number)
    finished = run.finish()
    if number == signal.SIGKILL:
        assert finished.code == -number
        return
    assert finished.code == 130, finished
    assert time.monotonic() - sent < END_TIMEOUT_S
    assert "interrupted: run the same command again to go on from here" in finished.stderr
    assert re.search(r"^this call did \d+ rows? in \d+ fragments?; done in all: ", finished.stderr, re.MULTILINE)
    assert "Traceback" not in finished.stderr

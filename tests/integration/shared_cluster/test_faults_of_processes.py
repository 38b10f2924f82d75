"""More of what can happen to the processes and nodes of a run: signals, stops, deaths of workers and of nodes."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.nodes import Nodes, running_nodes
from tests.integration.processes import Process, wait_for
from tests.integration.runs import Run, parts, rows_of, started
from tests.integration.shared_cluster.conftest import TWO_RANKS, Annotated, Workbench
from tests.integration.shared_cluster.deadly_encoding import DEADLY
from tests.integration.shared_cluster.test_faults import LEADER, RANK, wait_until_under_way

TOKENIZER, WRITER = "ray::ReadFragmentSource->", "ray::Write"


@contextmanager
def under_way(workbench: Workbench, name: str, **changes: object) -> Iterator[tuple[Run, Path]]:
    """A run that has written a few parts; and where it writes."""
    job_file = workbench.job(name, model=TWO_RANKS["model"] | changes, input=TWO_RANKS["input"])
    options = ["--address", workbench.cluster.address]
    with started(job_file, *options, logs=workbench.root / f"{name}-logs") as run:
        wait_until_under_way(run, workbench.output(name))
        yield run, workbench.output(name)


@pytest.mark.slow
def test_a_rank_that_is_stopped_is_replaced(two_ranks: Annotated, workbench: Workbench) -> None:
    with under_way(workbench, "stopped-rank") as (run, output):
        os.kill(workbench.cluster.actors(RANK)[1].pid, signal.SIGSTOP)
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == parts(two_ranks.output)
    workbench.cluster.wait_until_free()


@pytest.mark.slow
def test_a_run_that_stands_still_ends_with_stacks(workbench: Workbench) -> None:
    with under_way(workbench, "stalled", stall_timeout_s=60) as (run, _):
        os.kill(workbench.cluster.actors(LEADER)[0].pid, signal.SIGSTOP)
        finished = run.finish()
    assert finished.code == 1, finished
    assert "model.stall_timeout_s: no progress for 60 s" in finished.stderr
    # Of the driver by faulthandler, of the ranks by py-spy.
    assert "stacks of the driver:" in finished.stderr
    assert "annotate_fragments" in finished.stderr
    assert "ray::Rank" in finished.stderr
    workbench.cluster.wait_until_free()


@pytest.mark.slow
@pytest.mark.parametrize("title", [TOKENIZER, WRITER], ids=["tokenizer", "writer"])
def test_the_death_of_workers_changes_nothing(
    title: str, two_ranks: Annotated, workbench: Workbench, tmp_path: Path
) -> None:
    name = f"dead-{title[5:9]}"
    job_file, output = workbench.job(name, **TWO_RANKS), workbench.output(name)
    # From the start, since everything is read long before the last part is written.
    with started(job_file, "--address", workbench.cluster.address, logs=tmp_path) as run:
        killed: set[Process] = set()

        def kill_another() -> bool:
            for process in workbench.cluster.actors(title):
                if process not in killed:
                    process.kill()
                    killed.add(process)
                    return True
            return run.process.poll() is not None

        while len(killed) < 3 and run.process.poll() is None:
            wait_for(f"{title} to kill", kill_another, timeout_s=120, interval_s=0.002)
        finished = run.finish()
    assert killed
    assert finished.code == 0, finished
    assert parts(output) == parts(two_ranks.output)
    workbench.cluster.wait_until_free()


@pytest.mark.slow
def test_a_row_that_kills_the_tokenizer_is_found_and_the_others_are_done(
    workbench: Workbench, tmp_path: Path
) -> None:
    [name, *_] = workbench.corpus.files
    table = workbench.corpus.files[name].slice(0, 20)
    poison = table.set_column(
        table.column_names.index("text"),
        "text",
        pa.array([DEADLY if row == 13 else text for row, text in enumerate(table["text"].to_pylist())]),
    )
    pq.write_table(poison, tmp_path / "poison.parquet")
    changes = {"input": {"path": str(tmp_path / "poison.parquet")}}
    program = ("-m", "tests.integration.shared_cluster.deadly_encoding")
    killed = workbench.run("deadly", program=program, **changes)
    assert killed.finished.code == 0, killed.finished
    found = rows_of(killed.output, "poison").to_pylist()
    expected = rows_of(workbench.run("not-deadly", **changes).output, "poison").to_pylist()
    assert "the process that tokenized this row died of it" in found[13]["error"]
    assert found[13]["topic"] is None
    assert [*found[:13], *found[14:]] == [*expected[:13], *expected[14:]]
    workbench.cluster.wait_until_free()


@pytest.mark.slow
def test_a_fragment_that_kills_its_reader_each_time_is_recorded_and_can_be_done_later(
    workbench: Workbench, tmp_path: Path
) -> None:
    [name, *_] = workbench.corpus.files
    for stem in ("deadly", "harmless"):
        pq.write_table(workbench.corpus.files[name].slice(0, 4), tmp_path / f"{stem}.parquet")
    # Two fragments of one read task, which dies at the second.
    changes = {"input": {"path": str(tmp_path), "max_fragment_rows": 2}}
    expected = parts(workbench.run("read", **changes).output)
    program = ("-m", "tests.integration.shared_cluster.deadly_reading")
    killed = workbench.run("deadly-read", program=program, **changes)
    assert killed.finished.code == 3, killed.finished
    assert "failed: deadly.parquet: rows 2 to 3 (read): the process died 3 times" in killed.finished.stderr
    assert killed.finished.stderr.count("failed: ") == 1
    found = parts(killed.output)
    assert found == {
        path: part for path, part in expected.items() if not path.startswith("deadly.") or "00001-of" not in path
    }
    assert len(found) == len(expected) - 1
    again = workbench.run("deadly-read", options=("--retry-failed",), **changes)
    assert again.finished.code == 0, again.finished
    assert parts(again.output) == expected
    workbench.cluster.wait_until_free()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    # The head has no room for two ranks, and a worker has.
    with running_nodes(1, 3, 3) as nodes:
        yield nodes


@pytest.mark.slow
@pytest.mark.parametrize("which", ["shard", "other"])
def test_the_loss_of_a_node_changes_nothing(
    which: str, two_ranks: Annotated, workbench: Workbench, nodes: Nodes, tmp_path: Path
) -> None:
    name = f"lost-{which}"
    job_file, output = workbench.job(name, **TWO_RANKS), workbench.output(name)
    with started(job_file, "--address", nodes.address, logs=tmp_path) as run:
        wait_until_under_way(run, output)
        assert nodes.ask(f"kill {which}") == 2
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == parts(two_ranks.output)
    assert nodes.ask("groups") == []

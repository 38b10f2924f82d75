"""Clusters that are too small, too busy, or become smaller: runs wait, go on with what is left, and say so."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.nodes import Nodes, running_nodes
from tests.integration.processes import wait_for
from tests.integration.runs import ANNOTATE, Finished, annotate, parts, started
from tests.integration.shared_cluster.conftest import SMALL_DATASETS

# Fragments enough to be in the middle of them for a while.
INPUT = {"max_fragment_rows": 2}
NUM_PARTS = 4
START_TIMEOUT_S = 120.0


class Desk:
    """Where the runs of a test have their files."""

    def __init__(self, corpus: Corpus, root: Path) -> None:
        self._corpus = corpus
        self.root = root

    def job(self, name: str, **model: Any) -> Path:
        job = job_of(self._corpus)
        job["model"] |= model
        job["input"] |= INPUT
        job["output"]["path"] = str(self.output(name))
        return write_job(self.root / f"{name}.toml", job)

    def output(self, name: str) -> Path:
        return self.root / f"{name}-out"

    def logs(self, name: str) -> Path:
        return self.root / f"{name}-logs"

    def num_finished(self, name: str) -> int:
        return len(list(self.output(name).glob("_manifest/parts/**/*.json")))

    def said(self, name: str) -> str:
        return (self.logs(name) / "stderr").read_text(encoding="utf-8")


@pytest.fixture
def desk(corpus: Corpus, tmp_path: Path) -> Desk:
    return Desk(corpus, tmp_path)


@pytest.fixture(scope="module")
def expected(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run on this machine writes."""
    desk = Desk(corpus, tmp_path_factory.mktemp("expected"))
    finished = annotate(desk.job("alone", cpus_per_rank=2), logs=desk.logs("alone"))
    assert finished.code == 0, finished
    return parts(desk.output("alone"))


@pytest.fixture
def two_nodes() -> Iterator[Nodes]:
    with running_nodes(3, 3) as nodes:
        yield nodes


@pytest.mark.slow
@pytest.mark.parametrize("program", [ANNOTATE, SMALL_DATASETS], ids=["one dataset", "several"])
def test_a_job_ends_with_the_replica_that_is_left(
    program: Sequence[str], desk: Desk, expected: dict[str, bytes], two_nodes: Nodes
) -> None:
    """Also where the leader without ranks is handed on from one dataset to the next."""
    job = desk.job("lost", replicas="auto", cpus_per_rank=2, stall_timeout_s=90)
    arguments = ["--address", two_nodes.address]
    with started(job, *arguments, logs=desk.logs("lost"), program=program) as run:
        wait_for("parts", lambda: desk.num_finished("lost") >= NUM_PARTS, timeout_s=START_TIMEOUT_S)
        assert two_nodes.ask("nodes") == [[1, 1], [1, 1]]
        assert two_nodes.ask("kill shard") == 1
        finished = run.finish()
    assert finished.code == 0, finished
    assert "a shard group has lost its node" in finished.stderr
    assert parts(desk.output("lost")) == expected
    assert two_nodes.ask("groups") == []


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[Nodes]:
    """The head has CPUs for no rank. Tests leave the others as they are."""
    with running_nodes(1, 3, 3) as nodes:
        yield nodes


def on(nodes: Nodes, desk: Desk, name: str, *options: str, **model: Any) -> Finished:
    """Run a job to its end, with ranks of 2 CPUs."""
    model = {"cpus_per_rank": 2, **model}
    return annotate(desk.job(name, **model), "--address", nodes.address, *options, logs=desk.logs(name))


@pytest.mark.slow
def test_a_run_waits_for_room_and_says_what_for(
    desk: Desk, expected: dict[str, bytes], three_nodes: Nodes
) -> None:
    three_nodes.ask("hold 2 1")
    job = desk.job("waits", replicas=2, cpus_per_rank=2)
    with started(job, "--address", three_nodes.address, logs=desk.logs("waits")) as run:
        wait_for("news", lambda: "waits for" in desk.said("waits"), timeout_s=START_TIMEOUT_S)
        assert run.process.poll() is None
        three_nodes.ask("release")
        finished = run.finish()
    assert finished.code == 0, finished
    assert "waits for 1 group of {CPU: 2}; free {CPU: 3}, on one node at most {CPU: 1}; held by" in finished.stderr
    assert "this run: {CPU: 2}" in finished.stderr
    assert "tests.integration.nodes_host 1 3 3 on" in finished.stderr
    assert parts(desk.output("waits")) == expected
    assert three_nodes.ask("groups") == []


@pytest.mark.slow
def test_no_room_in_time_has_its_own_exit_code(desk: Desk, three_nodes: Nodes) -> None:
    three_nodes.ask("hold 2 1")
    three_nodes.ask("hold 2 2")
    finished = on(three_nodes, desk, "late", placement_timeout_s=3)
    three_nodes.ask("release")
    assert finished.code == 4, finished
    assert (
        "no room: model.placement_timeout_s: found no room for 1 group of {CPU: 2} within 3 s" in finished.stderr
    )
    assert parts(desk.output("late")) == {}
    assert three_nodes.ask("groups") == []


@pytest.mark.slow
def test_what_no_node_holds_is_refused_at_once(desk: Desk, three_nodes: Nodes) -> None:
    finished = on(three_nodes, desk, "large", cpus_per_rank=4)
    assert finished.code == 2, finished
    assert "no node holds a shard group of 1 rank with {CPU: 4} each, also when it is empty" in finished.stderr
    assert "(nodes: 1 of {CPU: 1}, 2 of {CPU: 3})" in finished.stderr


@pytest.mark.slow
def test_the_plan_says_which_nodes_are_used(desk: Desk, three_nodes: Nodes) -> None:
    three_nodes.ask("hold 1 1")
    finished = on(three_nodes, desk, "plan", "--plan", replicas="auto", cpus_per_rank=1)
    three_nodes.ask("release")
    assert finished.code == 0, finished
    assert re.search(r" 1 group on \S+ \(free {CPU: 2} of {CPU: 3}\)", finished.stdout), finished
    assert re.search(r" 2 groups on \S+ \(free {CPU: 3} of {CPU: 3}\)", finished.stdout), finished


@pytest.mark.slow
def test_a_run_without_a_cpu_to_read_with_says_so(desk: Desk, expected: dict[str, bytes]) -> None:
    with running_nodes(3) as nodes:
        job = desk.job("stalled", cpus_per_rank=2, stall_timeout_s=20)
        with started(job, "--address", nodes.address, logs=desk.logs("stalled")) as run:
            wait_for("parts", lambda: desk.num_finished("stalled") >= NUM_PARTS, timeout_s=START_TIMEOUT_S)
            nodes.ask("hold 1 0")
            finished = run.finish()
        assert finished.code == 1, finished
        reason, _, stacks = finished.stderr.partition("stacks of the driver:")
        assert "no progress: waits for room: pending" in reason, finished
        assert "task or actor {CPU: 1}" in reason
        assert "free {CPU: 0}; held by" in reason
        assert "no progress for 20 s: waits for room: pending" in stacks
        nodes.ask("release")
        finished = on(nodes, desk, "stalled")
        assert finished.code == 0, finished
        assert parts(desk.output("stalled")) == expected
        full = on(nodes, desk, "full", cpus_per_rank=3)
    assert full.code == 2, full
    assert "a shard group of 1 rank with {CPU: 3} each takes all CPUs of the cluster" in full.stderr

"""Clusters that are too small, too busy, or become smaller: runs wait, go on with what is left, and say what they wait for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.nodes import Nodes, running_nodes
from tests.integration.processes import wait_for
from tests.integration.runs import annotate, parts, started

# Fragments enough to be in the middle of them for a while.
INPUT = {"max_fragment_rows": 1}
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
def test_a_job_ends_with_the_replica_that_is_left(desk: Desk, expected: dict[str, bytes], two_nodes: Nodes) -> None:
    job = desk.job("lost", replicas="auto", cpus_per_rank=2, stall_timeout_s=90)
    with started(job, "--address", two_nodes.address, logs=desk.logs("lost")) as run:
        wait_for("parts", lambda: desk.num_finished("lost") >= NUM_PARTS, timeout_s=START_TIMEOUT_S)
        assert two_nodes.ask("nodes") == [1, 1]
        assert two_nodes.ask("kill shard") == 1
        finished = run.finish()
    assert finished.code == 0, finished
    assert "a shard group has lost its node" in finished.stderr
    assert parts(desk.output("lost")) == expected
    assert two_nodes.ask("groups") == []

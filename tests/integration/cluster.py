"""A Ray cluster that runs join by its address, so that what they leave on it can be seen when they are gone."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.integration.processes import Process, descendants, environment, wait_for
from tests.integration.runs import ROOT

NUM_CPUS = 4
# Titles of processes that belong to a run and must end with it.
OF_RUNS = ("ray::Rank", "ray::MapWorker", "ray::RunActor")


@dataclass(frozen=True)
class LeftOver:
    """What is on the cluster: states of placement groups that are not removed, and CPUs that nobody holds."""

    groups: list[str]
    free_cpus: float


class Cluster:
    """The process that holds the cluster, and the cluster's address."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._stdout.readline().strip()

    @property
    def _stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def left_over(self) -> LeftOver:
        """As the cluster tells it."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return LeftOver(**json.loads(self._stdout.readline()))

    def wait_until_free(self) -> None:
        """Until no run holds anything: no placement group, no CPU, no actor. Raises TimeoutError."""

        def is_free() -> bool:
            return self.left_over() == LeftOver([], NUM_CPUS) and not self.actors(*OF_RUNS)

        try:
            wait_for("free cluster", is_free, timeout_s=60, interval_s=0.2)
        except TimeoutError as error:
            processes = [f"{p.pid} {p.title}, {p.num_threads} threads" for p in self.actors(*OF_RUNS)]
            raise TimeoutError(f"{error}: {self.left_over()}, {processes}") from None

    def session_folder(self) -> Path:
        """Where its logs are."""
        titles = " ".join(process.title for process in descendants(self._process.pid))
        found = re.search(r"(/\S+/session_\d[^/\s]+)", titles)
        assert found is not None
        return Path(found[1])

    def actors(self, *titles: str) -> list[Process]:
        """Its worker processes whose titles begin with one of `titles`."""
        return [p for p in descendants(self._process.pid) if p.title.startswith(titles)]


@contextmanager
def running_cluster(*, metrics_port: int | None = None) -> Iterator[Cluster]:
    """A cluster of one node, which may export metrics at a port; ended with the block."""
    arguments = [str(NUM_CPUS), *([str(metrics_port)] if metrics_port else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.cluster_host", *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Cluster(process)
    finally:
        processes = descendants(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        for left_over in processes:
            left_over.kill()

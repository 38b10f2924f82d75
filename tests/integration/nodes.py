"""A cluster of several nodes that runs join by its address, and on which nodes and CPUs come and go."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.integration.nodes_host import REPLY
from tests.integration.processes import descendants, environment
from tests.integration.runs import ROOT


class Nodes:
    """The process that holds the cluster."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._reply()

    def ask(self, line: str) -> Any:
        """Have it do something, as `nodes_host` says; its reply."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        return self._reply()

    def _reply(self) -> Any:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if line.startswith(REPLY):
                return json.loads(line.removeprefix(REPLY))
        raise AssertionError("the cluster has ended")


@contextmanager
def running_nodes(*cpus: int) -> Iterator[Nodes]:
    """A cluster whose nodes have so many CPUs, the head first; ended with the block."""
    # As the runs that join it, which would else refuse what it asks them.
    settings = {"RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-m", "tests.integration.nodes_host", *map(str, cpus)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(**settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Nodes(process)
    finally:
        left_over = descendants(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
        for other in left_over:
            other.kill()

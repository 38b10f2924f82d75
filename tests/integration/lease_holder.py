"""A driver in a process of its own that holds the lease of an output, and can be killed, stopped and woken."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeline.output.claim
from pipeline.errors import ConfigError, OutputError
from pipeline.output.lease import held_lease
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.locations import resolve_path
from tests.integration.output_runs import context

HELD, REFUSED, LOST, ENDED = "held", "refused", "lost", "ended"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Holder:
    """The process, and what it says."""

    process: Any
    connection: Any

    def says(self) -> tuple[str, str]:
        """The next thing it says, and why."""
        assert self.connection.poll(TIMEOUT_S), "it says nothing"
        said: tuple[str, str] = self.connection.recv()
        return said

    def end(self) -> None:
        """Have it give the lease back."""
        self.connection.send(None)
        self.process.join(TIMEOUT_S)
        assert self.process.exitcode == 0

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.join(TIMEOUT_S)


@contextmanager
def holder(output: str, timeout_s: float = 60, machine: str | None = None) -> Iterator[Holder]:
    """A driver that wants the lease; it says what becomes of that. `machine` is one that it seems to run on."""
    here, there = context().Pipe()
    process = context().Process(target=_hold, args=(output, timeout_s, machine, there))
    process.start()
    try:
        yield Holder(process, here)
    finally:
        process.kill()
        process.join()


def _hold(output: str, timeout_s: float, machine: str | None, connection: Any) -> None:
    # In the background of a shell, where tests may run too, it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if machine is not None:
        pipeline.output.claim._machine = lambda: machine
    try:
        with held_lease(OutputFolder(*resolve_path(output, "output.path")), timeout_s, lambda line: None):
            connection.send((HELD, ""))
            connection.recv()
    except ConfigError as error:
        connection.send((REFUSED, str(error)))
    except OutputError as error:
        connection.send((LOST, str(error)))


def contend(output: str, num_times: int, proof: str, connection: Any) -> None:
    """Hold the lease so many times, wanting it again and again; say how often another one held it meanwhile."""
    folder = OutputFolder(*resolve_path(output, "output.path"))
    num_held = num_shared = 0
    while num_held < num_times:
        try:
            with held_lease(folder, 60, lambda line: None):
                num_held += 1
                try:
                    os.close(os.open(proof, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    num_shared += 1
                time.sleep(0.02)
                Path(proof).unlink(missing_ok=True)
        except ConfigError:
            time.sleep(0.01)
    connection.send(num_shared)

"""Processes as /proc shows them: who belongs to whom, what they call themselves, and whether they still live."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def environment(**settings: str) -> dict[str, str]:
    """Of this process, without settings of Ray but one: its workers get as much CPU as the tests beside them."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return others | {"RAY_worker_niceness": "0"} | settings


@dataclass(frozen=True)
class Process:
    """`started` (clock ticks since boot) tells a process from a later one under its number."""

    pid: int
    parent: int
    started: int

    @property
    def title(self) -> str:
        """The command line; Ray's workers show the class and method of their actor, `ray::Rank.run`."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return ""

    @property
    def num_threads(self) -> int:
        """0 where it is gone."""
        with suppress(OSError):
            return len(list(Path(f"/proc/{self.pid}/task").iterdir()))
        return 0

    @property
    def is_alive(self) -> bool:
        return _read(self.pid) == self

    def kill(self) -> None:
        """SIGKILL, unless the number belongs to another process by now."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _read(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; what follows it is state, parent, …
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else Process(pid, int(fields[1]), int(fields[19]))


def descendants(pid: int) -> list[Process]:
    """Living processes below this one, however deep."""
    processes = [_read(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    children: dict[int, list[Process]] = {}
    for process in processes:
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found, parents = [], [pid]
    while parents:
        for child in children.get(parents.pop(), []):
            found.append(child)
            parents.append(child.pid)
    return found


def wait_for(what: str, check: Callable[[], T | None], *, timeout_s: float, interval_s: float = 0.02) -> T:
    """The first value of `check` that is true; TimeoutError, saying what was waited for, if none comes."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {timeout_s} s")
        time.sleep(interval_s)

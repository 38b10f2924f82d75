"""The phases of a run, from the command to its end, and how many seconds each takes."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

Phase = Literal[
    "checking",
    "connecting",
    "placing",
    "loading the model",
    "first batch",
    "annotating",
    "shutting down",
    "committing",
]


class Phases:
    """One phase follows another; each is told with its seconds when it ends.

    Times are of `time.monotonic`, which all processes of a machine share.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._seconds: dict[str, float] = {}
        self._current: tuple[Phase, float] | None = None
        self.detail: str | None = None
        """What the current phase waits for, for printing."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """The seconds of each phase that has ended, by name, in their order; the mapping grows as phases end."""
        return self._seconds

    @property
    def current(self) -> str | None:
        """The current phase and its seconds so far, for printing."""
        if self._current is None:
            return None
        name, began = self._current
        detail = f"  {self.detail}" if self.detail else ""
        return f"{name}, {time.monotonic() - began:.0f} s{detail}"

    def begin(self, name: Phase, at: float | None = None) -> None:
        """End the current phase and begin another one, now or `at` a time that has passed."""
        at = time.monotonic() if at is None else at
        self.end(at)
        self._current = name, at

    def end(self, at: float | None = None) -> None:
        """End the current phase, if there is one."""
        if self._current is None:
            return
        name, began = self._current
        self._current = None
        self._seconds[name] = (time.monotonic() if at is None else at) - began
        self._tell(f"{name:<18}{self._seconds[name]:6.1f} s")


def process_began() -> float:
    """When this process was started, in seconds of `time.monotonic`; now where there is no /proc."""
    now, stat = time.monotonic(), Path("/proc/self/stat")
    if not stat.exists():
        return now
    # The process name, in parentheses, may contain anything.
    ticks = int(stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19])
    return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))

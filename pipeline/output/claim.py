"""A claim on an output: the content of a small file that its driver renews, and whether that driver is alive."""

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.errors import ConfigError
from pipeline.output.json_records import parse_record, record_json
from pipeline.storage.store_files import EPOCH_SIZE

MAX_TIMEOUT_S = 24 * 3600.0
"""However long a claim says that it lives, nobody waits longer for a sign of life."""


@dataclass(frozen=True)
class Claim:
    """A claim on an output: its process, identified by machine, boot and start time, and the number of renewals.

    Attributes:
        machine: boot and process namespace; a process is looked for only where these are the same.
        started: of the process, in clock ticks since the boot.
        since: time of the claim, for people.
        timeout_s: seconds without a renewal after which it is dead.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: int
    since: str
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)]
    num_beats: int = 0

    @classmethod
    def of_this_process(cls, timeout_s: float, epoch: int = 1) -> "Claim":
        """A new claim of this process. Its epoch is the beginning of its token."""
        pid = os.getpid()
        return cls(
            token=f"{epoch:0{EPOCH_SIZE}d}-{uuid.uuid4().hex}",
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            started=_start_of(pid) or 0,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            timeout_s=timeout_s,
        )

    @classmethod
    def parse(cls, data: bytes | None) -> "Claim | None":
        """The claim that a file holds; None where it holds none, such as one that is half written."""
        return parse_record(cls, data)

    def to_json(self) -> bytes:
        """The content of its file."""
        return record_json(self)

    @property
    def is_here(self) -> bool:
        """Whether the process is on this machine, so that it can be looked for."""
        return self.machine == _machine() != ""

    @property
    def is_running(self) -> bool:
        """Whether the process, which is on this machine, is running."""
        return _start_of(self.pid) == self.started


def refusal(root: str, claim: Claim | None) -> ConfigError:
    """The error of a driver that finds the output in use; `claim` is None where it cannot be read."""
    if claim is None:
        return ConfigError(f"output.path: {root} is in use by another run, expected none; wait for its end")
    return ConfigError(
        f"output.path: {root} is in use by another run: process {claim.pid} on {claim.host}, since "
        f"{claim.since}; wait for its end, or end it there (kill {claim.pid}); if it dies, its hold ends "
        f"{claim.timeout_s:g} s later at most, and this command goes on from what is done"
    )


def _machine() -> str:
    """Identifies this boot of this machine and its PID namespace; empty where they are unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None where there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The process name, in parentheses, may contain anything.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])

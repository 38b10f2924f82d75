"""The lease of an output, held by one driver at a time: a small file in `_manifest/lease/` that it renews.

A driver looks for the claims of others, writes its own claim, looks again, and withdraws it if there is another
one. As listings are consistent (local disks, NFS, S3, GCS), two drivers can never both continue, without
conditional writes.

A claim on this machine is dead if its process is gone; on another one, if it has not been renewed for its
`timeout_s`, by the observer's clock. A driver that cannot renew its claim for nearly as long, or finds it gone,
ends itself; one that was suspended does so at its next heartbeat, and its tasks write the same bytes until then.
"""

import errno
import os
import random
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import ConfigError, OutputError
from pipeline.output.json_records import decode_record, encode_json
from pipeline.output.output_folder import MANIFEST, OutputFolder
from pipeline.storage.retries import retry_transient

LEASE = f"{MANIFEST}/lease"
BEATS_PER_TIMEOUT = 6
_MAX_WAIT_AT_ONCE_S = 1.0
_UNFINISHED = ".tmp"
_MAX_TRIES = 5


@dataclass(frozen=True)
class Claim:
    """A claim on an output by a process.

    Attributes:
        machine: boot and PID namespace; the process is only looked for if these are the same.
        started: start time of the process, in clock ticks since the boot.
        since: time of the claim, for messages.
        timeout_s: seconds without a renewal after which it is dead.
        num_beats: number of renewals.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: int
    since: str
    timeout_s: float
    num_beats: int = 0

    @classmethod
    def of_this_process(cls, timeout_s: float) -> "Claim":
        """A new claim of this process."""
        pid = os.getpid()
        return cls(
            token=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            started=_start_of(pid) or 0,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            timeout_s=timeout_s,
        )

    @property
    def is_here(self) -> bool:
        """Whether the process is on this machine."""
        return self.machine == _machine() != ""

    @property
    def is_running(self) -> bool:
        """Whether the process, on this machine, is running."""
        return _start_of(self.pid) == self.started


@contextmanager
def held_lease(output: OutputFolder, timeout_s: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lease during the block; `tell` is called with a message if acquiring it takes a while.

    Raises ConfigError if another driver holds it, and OutputError if the lease is lost, which interrupts the
    block.
    """
    claim = _acquire(output, timeout_s, tell)
    heartbeat = _Heartbeat(output, claim)
    heartbeat.start()
    try:
        yield
    except KeyboardInterrupt:
        if heartbeat.is_lost:
            raise OutputError(
                f"output.path: {output.root}: the lease is lost: it could not be renewed for {timeout_s:g} s, or "
                "another run has taken it; see who writes there, then run the job again: finished parts are kept"
            ) from None
        raise
    finally:
        heartbeat.stop()
        _give_back(output, claim.token)


def _acquire(output: OutputFolder, timeout_s: float, tell: Callable[[str], None]) -> Claim:
    own = Claim.of_this_process(timeout_s)
    dead: set[str] = set()
    while True:
        for token in sorted(_tokens(output) - dead):
            _wait_for_death(output, token, timeout_s, tell)
            dead.add(token)
        _claim(output, own)
        if not _tokens(output) - dead - {own.token}:
            break
        _give_back(output, own.token)
        time.sleep(random.uniform(0, 1))
    for token in dead:
        _give_back(output, token)
    _clear_unfinished(output)
    return own


def _clear_unfinished(output: OutputFolder) -> None:
    """Delete incomplete claims of killed drivers; a living driver writes its claim again."""
    for path, _ in output.list_files(LEASE):
        if path.endswith(_UNFINISHED):
            output.delete(path)


def _claim(output: OutputFolder, claim: Claim) -> None:
    """Write a claim for the first time."""
    try:
        if output.is_local:
            # The folder is never deleted, as others may be about to write to it.
            Path(output.root, LEASE).mkdir(parents=True, exist_ok=True)
        retry_transient(lambda: _write(output, claim))
    except OSError as error:
        raise OutputError(
            f"output.path: {output.root}/{LEASE} cannot be written: {error.strerror or error}; check free space "
            "and permissions, then run the job again: finished parts are kept"
        ) from error


def _give_back(output: OutputFolder, token: str) -> None:
    """Delete a claim; if that fails, it expires."""
    with suppress(OSError):
        output.filesystem.delete_file(f"{output.root}/{_path_of(token)}")


def _wait_for_death(output: OutputFolder, token: str, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Return once a claim is dead or deleted. Raises ConfigError if it is alive."""
    first = output.read(_path_of(token))
    claim = decode_record(Claim, first)
    if claim is not None and claim.is_here:
        if claim.is_running:
            raise ConfigError(_refusal(output, claim))
        return
    wait_s = timeout_s if claim is None else claim.timeout_s
    if first is not None:
        who = "another run" if claim is None else f"process {claim.pid} on {claim.host}"
        tell(f"{output.root} is claimed by {who}; waiting {wait_s:g} s for a sign of life")
    deadline = time.monotonic() + wait_s
    while first is not None and time.monotonic() < deadline:
        time.sleep(min(_MAX_WAIT_AT_ONCE_S, wait_s / BEATS_PER_TIMEOUT))
        now = output.read(_path_of(token))
        if now is None:
            return
        if now != first:
            raise ConfigError(_refusal(output, decode_record(Claim, now) or claim))


def _refusal(output: OutputFolder, claim: Claim | None) -> str:
    if claim is None:
        return f"output.path: {output.root} is in use by another run, expected none; wait for its end"
    return (
        f"output.path: {output.root} is in use by another run: process {claim.pid} on {claim.host}, since "
        f"{claim.since}; wait for its end, or end it there (kill {claim.pid}); if it dies, its hold ends "
        f"{claim.timeout_s:g} s later at most, and this command goes on from what is done"
    )


class _Heartbeat:
    """A thread that renews a claim, and interrupts the main thread when it is lost."""

    def __init__(self, output: OutputFolder, claim: Claim) -> None:
        self._output = output
        self._claim = claim
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.is_lost = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        interval_s = self._claim.timeout_s / BEATS_PER_TIMEOUT
        renewed = time.monotonic()
        while not self._stop.wait(interval_s):
            begun = time.monotonic()
            try:
                self.is_lost = not self._renew()
                renewed = begun
            except OSError:
                # Before others consider the claim dead.
                self.is_lost = time.monotonic() - renewed > self._claim.timeout_s - interval_s
            if self.is_lost:
                main_thread = threading.main_thread().ident
                assert main_thread is not None
                signal.pthread_kill(main_thread, signal.SIGINT)
                return

    def _renew(self) -> bool:
        """Renew the claim; returns False if it is gone."""
        if _read(self._output, self._claim.token) is None:
            return False
        self._claim = replace(self._claim, num_beats=self._claim.num_beats + 1)
        _write(self._output, self._claim)
        return True


def _path_of(token: str) -> str:
    return f"{LEASE}/{token}.json"


def _tokens(output: OutputFolder) -> set[str]:
    paths = (path.removeprefix(f"{LEASE}/") for path, _ in output.list_files(LEASE))
    return {path.removesuffix(".json") for path in paths if path.endswith(".json")}


# These two do not retry, as late retries are of no use to a heartbeat.


def _read(output: OutputFolder, token: str) -> bytes | None:
    try:
        with output.filesystem.open_input_stream(f"{output.root}/{_path_of(token)}") as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def _write(output: OutputFolder, claim: Claim) -> None:
    """Write a claim atomically, without fsync, as it is void after a crash of the machine."""
    data = encode_json(asdict(claim))
    if not output.is_local:
        with output.filesystem.open_output_stream(f"{output.root}/{_path_of(claim.token)}") as stream:
            stream.write(data)
        return
    path = Path(output.root) / _path_of(claim.token)
    # Not in the folder for incomplete files, which runs delete when they begin.
    incomplete = path.with_suffix(_UNFINISHED)
    for _ in range(_MAX_TRIES):
        try:
            incomplete.write_bytes(data)
            os.replace(incomplete, path)
        except FileNotFoundError:
            # The holder of the lease has just deleted it as incomplete.
            continue
        except OSError:
            incomplete.unlink(missing_ok=True)
            raise
        return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _machine() -> str:
    """Identifies this boot of this machine and the PID namespace; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """Start time of a process, in clock ticks since the boot; None if there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The process name, in parentheses, may contain anything.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])

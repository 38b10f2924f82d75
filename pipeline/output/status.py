"""How far an output is, from its files alone: of a run that goes on, has ended, or was killed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipeline.errors import InputError
from pipeline.exit_codes import PARTLY
from pipeline.failures import FragmentFailure
from pipeline.output.call_history import CallHistory, CallRecord, Extent
from pipeline.output.claim import Claim
from pipeline.output.failure_log import FailureLog
from pipeline.output.lease import LEASE, claims_on
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import SUCCESS, OutputFolder
from pipeline.output.run_id import run_id
from pipeline.storage.printable import printable
from pipeline.storage.store_files import CLAIM_SUFFIX

State = Literal["complete", "partly", "running", "unfinished"]


@dataclass(frozen=True)
class Holder:
    """The driver that holds the lease, or has held it until it died; `is_alive` is None on another machine."""

    host: str
    pid: int
    since: str
    timeout_s: float
    is_alive: bool | None


@dataclass(frozen=True)
class Status:
    """The state of an output.

    Attributes:
        state: `complete`, `partly` (ended, but some files or fragments failed), `running`, or `unfinished`: begun,
            but interrupted, killed, or ended by an error.
        in_all, done: of the input as it was planned last; None where no call is recorded in an unfinished output.
        failures: fragments that failed and have not been done since.
        holder: who holds the lease.
        last_call, num_calls: of those recorded.
        run: the id of the run in logs and metrics.
    """

    state: State
    in_all: Extent | None
    done: Extent | None
    failures: tuple[FragmentFailure, ...]
    holder: Holder | None
    last_call: CallRecord | None
    num_calls: int
    run: str

    @property
    def left(self) -> Extent | None:
        """What is not done."""
        if self.in_all is None or self.done is None:
            return None
        all_, done = self.in_all, self.done
        return Extent(max(0, all_.num_fragments - done.num_fragments), max(0, all_.num_rows - done.num_rows))

    @property
    def hours(self) -> float:
        """How long the last call has run, or had run when it told so last."""
        call = self.last_call
        if call is None:
            return 0.0
        begin, end = (datetime.fromisoformat(time) for time in (call.begin, call.end or call.updated))
        return max(0.0, (end - begin).total_seconds() / 3600)

    def per_hour(self, number: int) -> float | None:
        """A number of the last call per hour, with its start-up; None where that says nothing."""
        return number / self.hours if self.hours > 0 and number else None


def read_status(output: OutputFolder) -> Status:
    """Read the status of an output. Raises InputError where there is none."""
    calls = CallHistory(output).calls()
    last = calls[-1] if calls else None
    summary = _summary(output.read(SUCCESS))
    folder = output.restarted if last is not None and last.is_restart and last.exit_code != 0 else output
    identity = Manifest(folder).identity() or Manifest(output).identity() or Manifest(output.restarted).identity()
    if identity is None:
        raise InputError(f"OUTPUT: found no output in {printable(output.root)}, expected one; check the path")
    holder = _holder(output)
    state = _state(last, holder, is_complete=summary is not None)
    in_all, done = _extents(last, summary if state == "complete" else None)
    failures = () if state == "complete" else tuple(FailureLog(folder).failures().values())
    return Status(state, in_all, done, failures, holder, last, len(calls), run_id(output, identity))


def _state(last: CallRecord | None, holder: Holder | None, *, is_complete: bool) -> State:
    is_held = holder is not None and holder.is_alive is not False
    if is_held and not is_complete:
        return "running"
    if is_complete:
        return "complete"
    return "partly" if last is not None and last.exit_code == PARTLY else "unfinished"


def _extents(last: CallRecord | None, summary: Mapping[str, Any] | None) -> tuple[Extent | None, Extent | None]:
    """Of the input in all, and of what is done of it."""
    if summary is not None:
        extent = Extent(summary["parts"], summary["rows"])
        return extent, extent
    if last is None:
        return None, None
    all_, undone, counts = last.in_all, last.undone, last.counts
    return all_, Extent(
        all_.num_fragments - undone.num_fragments + counts.num_parts,
        all_.num_rows - undone.num_rows + counts.num_rows,
    )


def _summary(data: bytes | None) -> dict[str, Any] | None:
    """What `_SUCCESS` holds; None where it is missing or damaged."""
    try:
        values = json.loads(data or b"")
        return values if isinstance(values["parts"], int) and isinstance(values["rows"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def _holder(output: OutputFolder) -> Holder | None:
    claims = [Claim.parse(output.read(f"{LEASE}/{token}{CLAIM_SUFFIX}")) for token in sorted(claims_on(output))]
    holders = [
        Holder(
            printable(claim.host),
            claim.pid,
            claim.since,
            claim.timeout_s,
            claim.is_running if claim.is_here else None,
        )
        for claim in claims
        if claim is not None
    ]
    alive = [holder for holder in holders if holder.is_alive is not False]
    return next(iter(alive or holders), None)

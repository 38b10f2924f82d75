"""Record this call of the command in the output: when it begins, every few seconds meanwhile, and at its end."""

import os
import platform
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

from pipeline.errors import LeaseLostError, OutputError, PipelineError
from pipeline.exit_codes import exit_code_of
from pipeline.monitoring.progress_counter import Counts
from pipeline.monitoring.repeated import repeated
from pipeline.monitoring.tallies import Tally
from pipeline.output.call_history import CallCounts, CallHistory, CallRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.output.versions import versions
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import number_of

INTERVAL_S = 15.0
MAX_LABELS = 10


class CallRecorder:
    """Writes the record of one call into the output that this driver holds."""

    def __init__(self, output: OutputFolder, call: CallRecord, seconds: Mapping[str, float]) -> None:
        """`seconds` by phase; whoever owns it adds phases as they end."""
        self._history = CallHistory(output)
        self._name = f"{call.begin.replace(':', '').replace('-', '')}-{uuid4().hex[:8]}"
        self._call = call
        self._seconds = seconds
        self._lock = threading.Lock()

    def update(self, **values: object) -> None:
        """Change fields of the record, and write it; the run does not depend on whether that is possible."""
        with self._lock:
            # A copy, as another thread may add a phase meanwhile.
            seconds = {phase: round(each, 2) for phase, each in dict(self._seconds).items()}
            self._call = replace(self._call, seconds=seconds, updated=now(), **values)  # type: ignore[arg-type]
            with suppress(OutputError):
                self._history.put(self._name, self._call)

    @contextmanager
    def renewed(self, counts: Callable[[], CallCounts], interval_s: float = INTERVAL_S) -> Iterator[None]:
        """Renew the counts in a thread during the block and at its end, so that others see how far the call is."""
        with repeated(lambda: self.update(counts=counts()), interval_s, "call record"):
            yield

    def so_far(self) -> str:
        """What the call has done, and what is left for the next one, as a line for people."""
        counts, num_fragments = self._call.counts, self._call.in_all.num_fragments
        num_left = self._call.undone.num_fragments - counts.num_parts
        did = f"{number_of(counts.num_rows, 'row')} in {number_of(counts.num_parts, 'fragment')}"
        return (
            f"this call did {did}; done in all: "
            f"{num_fragments - num_left:,} of {number_of(num_fragments, 'fragment')}, left: {num_left:,}"
        )


@contextmanager
def recorded_call(output: OutputFolder, call: CallRecord, seconds: Mapping[str, float]) -> Iterator[CallRecorder]:
    """Record a call during the block, which sets its exit code; an error that ends the block is recorded, too."""
    recorder = CallRecorder(output, call, seconds)
    recorder.update()
    try:
        yield recorder
    except LeaseLostError:
        raise
    except BaseException as error:
        recorder.update(end=now(), exit_code=exit_code_of(error), message=_message(error))
        raise
    recorder.update(end=now())


def new_call(**values: object) -> CallRecord:
    """The record of a call of this process that begins now; `values` are its other fields."""
    begin = now()
    return CallRecord(
        begin=begin,
        updated=begin,
        host=socket.gethostname(),
        pid=os.getpid(),
        versions=versions() | {"ray": version("ray"), "python": platform.python_version()},
        counts=CallCounts(),
        seconds={},
        **values,  # type: ignore[arg-type]
    )


def call_counts(counts: Counts, tally: Tally) -> CallCounts:
    """The counts of a call as they are recorded."""
    return CallCounts(
        num_parts=counts.num_parts,
        num_rows=counts.num_rows,
        num_errors=counts.num_errors,
        num_windows=tally.num_windows,
        num_trunk_tokens=counts.num_tokens,
        errors=dict(tally.errors),
        labels=tally.most_frequent(MAX_LABELS),
        peak_rank_bytes=counts.peak_rank_bytes,
        num_failed_fragments=len(counts.failures),
    )


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(error: BaseException) -> str | None:
    """Why a call ended early; of an error that is not ours the type alone, as its text may quote a row."""
    if isinstance(error, KeyboardInterrupt):
        return None
    return without_secret(str(error)) if isinstance(error, PipelineError) else type(error).__name__

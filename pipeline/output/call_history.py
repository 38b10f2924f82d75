"""The calls of the command on an output: `_manifest/runs/ID.json`, one file per call.

Unlike all else in an output they say when and where something was done, so their bytes differ between equal runs.
A call that was killed leaves a record without an end.
"""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from pipeline.output.json_records import Count, parse_record, record_json
from pipeline.output.output_folder import MANIFEST, OutputFolder
from pipeline.row_errors import ErrorKind
from pipeline.storage.threads import map_in_threads

RUNS = f"{MANIFEST}/runs"

Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Extent:
    """A number of fragments and their rows."""

    num_fragments: Count
    num_rows: Count


@dataclass(frozen=True)
class CallCounts:
    """What a call has computed.

    Attributes:
        num_trunk_tokens: tokens that went through a trunk, also those of fragments that are not finished.
        errors: rows by kind.
        labels: the most frequent labels of each head.
        peak_rank_bytes: peak memory of a rank.
        num_failed_fragments: fragments that failed in this call.
    """

    num_parts: Count = 0
    num_rows: Count = 0
    num_errors: Count = 0
    num_windows: Count = 0
    num_trunk_tokens: Count = 0
    errors: dict[ErrorKind, Count] = field(default_factory=dict)
    labels: dict[str, dict[str, Count]] = field(default_factory=dict)
    peak_rank_bytes: Count = 0
    num_failed_fragments: Count = 0


@dataclass(frozen=True)
class CallRecord:
    """One call of the command.

    Attributes:
        begin, updated, end: UTC, ISO 8601; `updated` is when `counts` were taken, `end` None in a call that was
            killed or is running.
        command: its arguments, without secrets.
        versions: of Python and the packages.
        is_restart: whether it computed everything anew beside the output.
        in_all, undone, todo: the input as planned, what of it was not done when the call began, and what of that
            the call was to do.
        num_failed_files: files that could not be read; `failed_files` are the first of them, with reasons.
        ray_job_id: None in a call that did not need a cluster.
        exit_code: as the command's; `message` says why it ended early.
        seconds: wall-clock time by phase.
        cost_per_hour: the price of the cluster as the job has it.
    """

    begin: str
    updated: str
    host: str
    pid: int
    command: list[str]
    versions: dict[str, str]
    is_restart: bool
    in_all: Extent
    undone: Extent
    todo: Extent
    num_failed_files: Count
    failed_files: dict[str, str]
    counts: CallCounts
    seconds: dict[str, Seconds]
    ray_job_id: str | None = None
    end: str | None = None
    exit_code: int | None = None
    message: str | None = None
    cost_per_hour: float | None = None


@dataclass(frozen=True)
class CallHistory:
    """The records of calls in one output folder; stateless. They stay when a restart replaces the output."""

    folder: OutputFolder

    def put(self, name: str, call: CallRecord) -> None:
        """Write the record of a call, in place of an earlier state of it. Raises OutputError."""
        self.folder.put(f"{RUNS}/{name}.json", record_json(call))

    def calls(self) -> list[CallRecord]:
        """All calls in the order of their beginnings; damaged records are left out."""
        paths = sorted(path for path, _ in self.folder.list_files(RUNS))
        calls = map_in_threads(lambda path: parse_record(CallRecord, self.folder.read(path)), paths)
        return sorted((call for call in calls if call is not None), key=lambda call: call.begin)

"""The process that plans files: it reads entries from one pipe and writes plans to another.

Footers are read here, as a damaged one may end the process: Arrow aborts at some of them. A message back is the
number of a file that has begun, or of one that has ended, with its plan or the reason why there is none, or the
columns that plans from then on refer to.
"""

import os
import pickle
import sys
from collections.abc import Mapping
from threading import Event, Lock
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from pipeline.errors import UnreadableFileError
from pipeline.input.file_plans import FileColumns, FilePlan, Planner
from pipeline.input.found_files import InputFile
from pipeline.storage.printable import printable
from pipeline.storage.retries import RETRY_FOR_S, is_transient, retry_transient
from pipeline.storage.threads import call_in_threads


class Entry(NamedTuple):
    """A file to plan; `number` is its place among all files, `partition` its Hive partition columns."""

    number: int
    file: InputFile
    partition: Mapping[str, str | None]


Outcome = FilePlan | str
"""The plan of a file, or why there is none."""
Message = FileColumns | tuple[int, Outcome | None]
"""What a planning process sends."""


def plan_or_reason(planner: Planner, entry: Entry, has_given_up: Event) -> Outcome:
    """Plan one file; `has_given_up` is set at a store that stays down, and not waited for again."""
    if entry.file.problem is not None:
        return entry.file.problem
    retry_for_s = 0.0 if has_given_up.is_set() else RETRY_FOR_S
    try:
        return retry_transient(lambda: planner.plan(entry.file, entry.partition), retry_for_s)
    except (UnreadableFileError, pa.ArrowException, OSError) as error:
        if is_transient(error):
            has_given_up.set()
        return printable(str(error).partition("\n")[0])
    except Exception as error:  # Arrow and the file systems of fsspec raise errors of any type
        return printable(f"its footer cannot be read: {type(error).__name__}: {error}".partition("\n")[0])


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Read a planner and lists of entries until the pipe ends, and write a pickle for each that begins or ends."""
    planner: Planner = pickle.load(requests)
    has_given_up, lock = Event(), Lock()
    sent: set[bytes] = set()

    def send(number: int, outcome: Outcome | None) -> None:
        with lock:
            if isinstance(outcome, FilePlan) and outcome.columns not in sent:
                pickle.dump(planner.file_columns[outcome.columns], replies)
                sent.add(outcome.columns)
            pickle.dump((number, outcome), replies)
            replies.flush()

    def plan(entry: Entry) -> None:
        send(entry.number, None)
        send(entry.number, plan_or_reason(planner, entry, has_given_up))

    while True:
        try:
            entries: list[Entry] = pickle.load(requests)
        except EOFError:
            return
        call_in_threads(plan, entries)


def main() -> None:
    """Serve the process that has started this one, by its standard input and output."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not be among the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, replies)
    sys.stderr.flush()
    # Clients of stores may hang in their exit handlers.
    os._exit(0)

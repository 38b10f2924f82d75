"""The process that plans files: it reads entries from one pipe and writes plans to another.

Footers are read here, as a damaged one may end the process: Arrow aborts at some of them. A message back says
which files are begun, or has their plans or the reasons why there are none, or the columns that plans refer to.
"""

import os
import pickle
import sys
import time
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

_SIGN_OF_LIFE_S = 1.0


class Entry(NamedTuple):
    """A file to plan; `number` is its place among all files, `partition` its Hive partition columns."""

    number: int
    file: InputFile
    partition: Mapping[str, str | None]


Outcome = FilePlan | str
"""The plan of a file, or why there is none."""
Message = FileColumns | list[int] | dict[int, Outcome]
"""What a planning process sends: columns, the numbers of files that it begins, or their outcomes."""


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
    """Read a planner and lists of chunks of files until the pipe ends; each chunk is planned by one thread."""
    planner: Planner = pickle.load(requests)
    has_given_up, lock = Event(), Lock()
    sent: set[bytes] = set()

    def send(*messages: Message) -> None:
        with lock:
            for message in messages:
                pickle.dump(message, replies)
            replies.flush()

    def plan(chunk: list[Entry]) -> None:
        send([entry.number for entry in chunk])
        outcomes, sent_at = {}, time.monotonic()
        for entry in chunk:
            outcomes[entry.number] = plan_or_reason(planner, entry, has_given_up)
            # A slow store is not taken for a process that stands still.
            if entry is chunk[-1] or time.monotonic() > sent_at + _SIGN_OF_LIFE_S:
                columns = {plan.columns for plan in outcomes.values() if isinstance(plan, FilePlan)} - sent
                send(*(planner.file_columns[digest] for digest in columns), outcomes)
                sent.update(columns)
                outcomes, sent_at = {}, time.monotonic()

    while True:
        try:
            chunks: list[list[Entry]] = pickle.load(requests)
        except EOFError:
            return
        call_in_threads(plan, chunks)


def main() -> None:
    """Serve the process that has started this one, by its standard input and output."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not be among the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, replies)
    sys.stderr.flush()
    # Clients of stores may hang in their exit handlers.
    os._exit(0)

"""Plan files in a child process, and find those that it dies of, or that it does not come back from."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Self

from pipeline.errors import JobError
from pipeline.input.file_plans import FileColumns, Planner
from pipeline.input.planner_process import Entry, Message, Outcome
from pipeline.storage.retries import RETRY_FOR_S

SILENCE_S = RETRY_FOR_S + 60
"""How long a child may begin and end no file: longer than it retries requests."""
START_S = 120.0
"""Patience with a process that starts."""
SHORT_SILENCE_S = 30.0
"""The same once a file has been found that a child does not come back from."""
_NUM_AT_ONCE, _CHUNK_SIZE = 4096, 16
_MAX_SHOWN = 2000
_COMMAND = "from pipeline.input.planner_process import main; main()"


def plan_files(planner: Planner, entries: Sequence[Entry]) -> list[Outcome]:
    """The plan of each file, or why there is none; adds the columns of all files to the planner.

    If the child dies, the files that it had begun are planned again one at a time, so that the one that it dies of
    is known, and the others go on. Raises JobError if it cannot be started.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = deque(list(entries[begin : begin + _NUM_AT_ONCE]) for begin in range(0, len(entries), _NUM_AT_ONCE))
    silence_s = SILENCE_S
    while waiting:
        with _Child(planner) as child:
            while waiting:
                some = waiting.popleft()
                begun = child.plan(some, outcomes, silence_s)
                rest = [entry for entry in some if entry.number not in outcomes]
                if not rest:
                    continue
                if len(begun) == 1:
                    outcomes[begun.pop()] = child.fault()
                    if child.is_silent:
                        silence_s = SHORT_SILENCE_S
                others = [entry for entry in rest if entry.number not in begun | outcomes.keys()]
                waiting.extendleft([others] if others else [])
                waiting.extendleft([entry] for entry in rest if entry.number in begun)
                break
    return [outcomes[entry.number] for entry in entries]


class _Child:
    """A process of `planner_process`."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.is_silent = False

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._has_begun = False
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._replies: SimpleQueue[Message | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._receive, daemon=True)
        self._reader.start()
        self._send(self._planner)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def plan(self, entries: list[Entry], outcomes: dict[int, Outcome], silence_s: float) -> set[int]:
        """Add the outcomes of entries; if there is none for some, returns the numbers of those that were begun."""
        self._send([entries[begin : begin + _CHUNK_SIZE] for begin in range(0, len(entries), _CHUNK_SIZE)])
        begun: set[int] = set()
        num_left = len(entries)
        while num_left:
            try:
                reply = self._replies.get(timeout=silence_s if self._has_begun else max(silence_s, START_S))
            except Empty:
                self.is_silent = True
                self._process.kill()
                break
            if reply is None:
                break
            self._has_begun = True
            if isinstance(reply, FileColumns):
                self._planner.file_columns[reply.digest] = reply
            elif isinstance(reply, list):
                begun.update(reply)
            else:
                begun -= reply.keys()
                outcomes |= reply
                num_left -= len(reply)
        if num_left and not self._has_begun:
            self._refuse_start()
        return begun

    def fault(self) -> str:
        """Why a file has no plan, if it was the only one that was begun."""
        if self.is_silent:
            return "its footer cannot be read: the process that read it stood still; restore the file"
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"damaged footer: the process that read it died ({how}); restore the file"

    def _send(self, message: Planner | list[list[Entry]]) -> None:
        assert self._process.stdin is not None
        # If it has died, the replies show that.
        with suppress(BrokenPipeError):
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _receive(self) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                self._replies.put(pickle.load(self._process.stdout))
            except Exception:  # the end, or a message that was cut short
                self._replies.put(None)
                return

    def _refuse_start(self) -> None:
        code = self._process.wait()
        self._errors.seek(0)
        shown = self._errors.read().decode(errors="replace").strip()[-_MAX_SHOWN:]
        raise JobError(f"the process that reads footers does not start (exit code {code}): {shown}")

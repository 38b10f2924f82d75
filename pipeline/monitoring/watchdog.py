"""End a run that makes no progress, after printing what it waits for and the stacks of its processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from pipeline.errors import JobError
from pipeline.monitoring.cluster_look import explain_waiting
from pipeline.monitoring.stacks import dump_stacks

_INTERVALS = 20
_GRACE_S = 20.0


class StalledError(JobError):
    """The run has made no progress within the timeout."""


class Watchdog:
    """A thread that ends the block with StalledError if `progress()` is unchanged, or raises, for `timeout_s`."""

    def __init__(
        self,
        progress: Callable[[], Any],
        timeout_s: float,
        dump: Callable[[], None] = dump_stacks,
        explain: Callable[[], str] = explain_waiting,
    ) -> None:
        self._progress = progress
        self._timeout_s = timeout_s
        self._dump = dump
        self._explain = explain
        self._reason = "what it waits for is not known"
        self._has_stalled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._has_stalled:
            raise StalledError(
                f"model.stall_timeout_s: no progress for {self._timeout_s:.0f} s: {self._reason}; the stacks of "
                "all processes are above; finished parts are kept, run the same command again to go on from there"
            ) from None

    def _watch(self) -> None:
        last, since = None, time.monotonic()
        while not self._stop.wait(self._timeout_s / _INTERVALS):
            now = self._look()
            if now is not None and now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > self._timeout_s:
                self._end()
                return

    def _look(self) -> Any:
        try:
            return self._progress()
        except Exception:  # any error means no progress
            return None

    def _end(self) -> None:
        try:
            self._reason = self._explain()
            print(f"no progress: {self._reason}", file=sys.stderr, flush=True)
        except Exception as error:  # the cluster may be gone, and stacks can be printed all the same
            self._reason += f" ({type(error).__name__})"
        try:
            self._dump()
        finally:
            self._has_stalled = True
            # A real signal, which also wakes a waiting thread.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            # A process that ignores it would keep all resources of the run.
            if not self._stop.wait(_GRACE_S):
                print("the run does not end by itself and is ended", file=sys.stderr, flush=True)
                os._exit(1)

"""Turn SIGTERM and Ctrl-C into a KeyboardInterrupt, with a deadline for the shutdown."""

import os
import select
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from pipeline.exit_codes import INTERRUPTED

GRACE_S = 30.0
_STANDARD_ERROR = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Context manager in which both signals raise KeyboardInterrupt in the main thread.

    After the first signal, further ones are ignored. If the process still runs after `grace_s`, it is ended with a
    message.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._deadline = threading.Timer(grace_s, _end_at_once, [grace_s])
        self._deadline.daemon = True
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        self._deadline.start()
        raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _end_at_once(grace_s: float) -> None:
    """End the process, whatever it is at."""
    # Straight to the file descriptor: a thread that hangs may hold the lock of the stream.
    text = f"interrupted: ended after {grace_s:g} s of shutting down\n"
    with suppress(OSError, ValueError):
        # Nor does it wait for a reader who has stopped.
        if select.select([], [_STANDARD_ERROR], [], 0)[1]:
            os.write(_STANDARD_ERROR, text.encode())
    os._exit(INTERRUPTED)

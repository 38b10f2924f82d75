"""Do something every few seconds, in a thread of the driver."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_JOIN_TIMEOUT_S = 5.0


@contextmanager
def repeated(action: Callable[[], None], interval_s: float, name: str) -> Iterator[None]:
    """Call `action` every `interval_s` in a thread called `name` during the block, and once more at its end.

    Also where an error ends the block, so that it is told what a stopped run has done. Errors of `action` are
    ignored.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(interval_s):
            # The run finds out by itself where an actor is gone, and says so.
            with suppress(Exception):
                action()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=_JOIN_TIMEOUT_S)
        with suppress(Exception):
            action()

"""Keep SIGTERM and SIGINT with the command while Ray starts, runs and shuts down."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import _raylet
from ray._private import utils


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Within the block, and after it, both signals go to the handlers that Python knows.

    `ray.init` first has SIGTERM end the process with exit code 15 or 1, without a message. Later its C++ code has
    the signal print a stack trace and end the process, and at shutdown resets it to the default; Python knows of
    neither. No option leaves any of this out, so functions of Ray are replaced; its version is pinned.
    """

    def connected(*arguments: Any, **options: Any) -> Any:
        worker = core_worker(*arguments, **options)
        _install_again()
        return worker

    # A compiled module, whose classes have no types.
    raylet: Any = _raylet
    core_worker, install = raylet.CoreWorker, utils.set_sigterm_handler
    raylet.CoreWorker, utils.set_sigterm_handler = connected, lambda _: None
    try:
        yield
    finally:
        raylet.CoreWorker, utils.set_sigterm_handler = core_worker, install
        _install_again()


def _install_again() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.getsignal(number))

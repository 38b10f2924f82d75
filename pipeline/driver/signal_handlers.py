"""Keep SIGTERM and SIGINT with the command while Ray starts, runs and shuts down."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import _raylet
from ray._private import utils
from ray._private.node import Node


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Within the block, and after it, both signals go to the handlers that Python knows. In the main thread only.

    `ray.init` first has SIGTERM end the process with exit code 15 or 1, without a message. Later its C++ code has
    the signal print a stack trace and end the process, and at shutdown resets it to the default, before it waits
    for the servers to end; Python knows of neither. No option leaves any of this out, so functions of Ray are
    replaced; its version is pinned. What remains are moments within C++ code that connects and disconnects.
    """

    def connected(*arguments: Any, **options: Any) -> Any:
        worker = core_worker(*arguments, **options)
        _install_again()
        return worker

    def ended(node: Node, *arguments: Any, **options: Any) -> None:
        _install_again()
        end_servers(node, *arguments, **options)

    # Without types: one is of a compiled module.
    raylet: Any = _raylet
    node_class: Any = Node
    core_worker, install = raylet.CoreWorker, utils.set_sigterm_handler
    end_servers = node_class.kill_all_processes
    raylet.CoreWorker, utils.set_sigterm_handler = connected, lambda _: None
    node_class.kill_all_processes = ended
    try:
        yield
    finally:
        raylet.CoreWorker, utils.set_sigterm_handler = core_worker, install
        node_class.kill_all_processes = end_servers
        _install_again()


def _install_again() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.getsignal(number))

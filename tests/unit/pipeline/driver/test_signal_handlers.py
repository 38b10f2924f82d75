"""Signals stay with the command, whatever Ray does about them in Python and, unknown to Python, in C++."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray import _raylet as compiled
from ray._private import utils
from ray._private.node import Node

from pipeline.driver.ray_connection import ray_cluster
from pipeline.driver.signal_handlers import kept_signal_handlers

_raylet: Any = compiled


def ignore_unknown_to_python() -> None:
    """As C++ code does: Python still names its own handler."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(signal.SIGTERM, ctypes.c_void_p(1))


@pytest.fixture
def received() -> Iterator[list[int]]:
    """The signals that come to the handler of the test."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)


def test_python_code_of_ray_installs_no_handler(received: list[int]) -> None:
    with kept_signal_handlers():
        utils.set_sigterm_handler(lambda number, _: pytest.fail("the handler of Ray"))
        send()
    assert received == [signal.SIGTERM]


def test_handlers_come_back_once_ray_has_connected(received: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_raylet, "CoreWorker", lambda *_, **__: ignore_unknown_to_python())
    with kept_signal_handlers():
        send()
        _raylet.CoreWorker()
        send()
    assert len(received) == 2


def test_handlers_come_back_after_a_shutdown(received: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    ignore_unknown_to_python()
    send()
    assert not received
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", ignore_unknown_to_python)
    monkeypatch.setattr(ray, "nodes", list)
    with ray_cluster("10.0.0.1:6379"):
        pass
    send()
    assert received == [signal.SIGTERM]


def test_handlers_come_back_before_servers_are_waited_for(
    received: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "kill_all_processes", lambda node, **_: send())
    with kept_signal_handlers():
        ignore_unknown_to_python()
        send()
        assert not received
        Node.kill_all_processes(object(), allow_graceful=True)
        assert received == [signal.SIGTERM]


def test_functions_of_ray_are_replaced_within_the_block_only() -> None:
    before = _raylet.CoreWorker, utils.set_sigterm_handler, Node.kill_all_processes
    with kept_signal_handlers():
        assert _raylet.CoreWorker is not before[0]
    assert (_raylet.CoreWorker, utils.set_sigterm_handler, Node.kill_all_processes) == before

import os
import signal
import subprocess
import sys
import time

import pytest

from jobs.terminal.interruption import Interruption
from pipeline.exit_codes import INTERRUPTED


def send(number: signal.Signals) -> None:
    """Send a signal to this process, and wait for what comes of it."""
    os.kill(os.getpid(), number)
    time.sleep(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_block_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Interruption():
        send(number)
    assert time.monotonic() - started < 5
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_end_is_not_disturbed_by_further_signals() -> None:
    ended = []

    def block() -> None:
        try:
            send(signal.SIGTERM)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
            time.sleep(0.1)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt), Interruption():
        block()
    assert ended == [True]


def test_an_end_that_takes_too_long_is_cut_short() -> None:
    program = """
import os, signal, time
from jobs.terminal.interruption import Interruption
with Interruption(grace_s=0.2):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        time.sleep(60)
"""
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, timeout=60, capture_output=True, text=True
    )
    assert ended.returncode == INTERRUPTED
    assert ended.stderr == "interrupted: ended after 0.2 s of shutting down\n"
    assert time.monotonic() - started < 30


def test_that_end_waits_for_no_reader() -> None:
    program = """
import os
from jobs.terminal import interruption
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
interruption._end_at_once(30)
"""
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", program], stderr=writing) as process:
        assert process.wait(30) == INTERRUPTED
    os.close(reading)
    os.close(writing)

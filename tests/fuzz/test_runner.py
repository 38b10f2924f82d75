"""The runner notices everything that can go wrong in a check, and goes on with the next case."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fuzz import runner
from tests.fuzz.outcome import Refused, refusals
from tests.fuzz.runner import Worker


class _Format:
    def __init__(self, check: Callable[[Any], None]) -> None:
        self.check = check

    def mutate(self, rng: random.Random) -> float:
        return rng.random()


def outcome_of(check: Callable[[Any], None]) -> tuple[str, str, bool]:
    """The outcome, what is told, and whether the process goes on."""
    worker = Worker("a format", _Format(check))
    try:
        return (*worker.check(0), worker.is_alive)
    finally:
        worker.end()


def refuse(message: str, error: type[Exception] = ValueError) -> Callable[[Any], None]:
    def check(case: Any) -> None:
        with refusals("config.json", "field"):
            raise error(message)

    return check


def test_what_is_right() -> None:
    assert outcome_of(lambda case: None) == ("accepted", "", True)
    assert outcome_of(refuse("config.json is not there")) == ("refused", "config.json is not there", True)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (refuse("something is wrong"), "names neither file nor field"),
        (refuse("field " + "x" * 10_000), "names neither file nor field"),
        (refuse("config.json", TypeError), "TypeError: config.json"),
        (lambda case: bytearray(2**33), "MemoryError"),
    ],
)
def test_wrong_errors_are_violations(check: Callable[[Any], None], told: str) -> None:
    outcome, found, goes_on = outcome_of(check)
    assert (outcome, goes_on) == ("violation", True)
    assert told in found


def _spin(case: Any) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (lambda case: os.kill(os.getpid(), signal.SIGKILL), "crashes: SIGKILL"),
        (lambda case: os._exit(3), "ends its process with exit code 3"),
        (_spin, "hangs: took 0.2 s of CPU time"),
        (lambda case: time.sleep(100), "hangs: no answer in 1 s"),
    ],
)
def test_the_end_of_the_process_is_a_violation(
    check: Callable[[Any], None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MAX_CPU_S", 0.2)
    monkeypatch.setattr(runner, "MAX_WALL_S", 1.0 if "answer" in told else 30.0)
    assert outcome_of(check) == ("violation", told, False)


def test_the_same_seed_gives_the_same_case() -> None:
    cases = []
    for _ in range(2):
        worker = Worker("a format", _Format(_tell))
        cases += [worker.check(7)]
        worker.end()
    assert cases[0] == cases[1] != ("accepted", "")


def _tell(case: float) -> None:
    raise Refused(str(case))

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.monitoring.watchdog import StalledError, Watchdog


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """An interrupt is a KeyboardInterrupt, whoever has started this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def watchdog(progress: Callable[[], object], dumps: list[float]) -> Watchdog:
    return Watchdog(progress, 0.2, lambda: dumps.append(time.monotonic()), lambda: "waits for room")


def test_a_block_that_comes_on_is_left_alone() -> None:
    dumps: list[float] = []
    with watchdog(time.monotonic, dumps):
        time.sleep(0.6)
    assert dumps == []


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_block_that_stands_still_ends_with_stacks(is_broken: bool) -> None:
    dumps: list[float] = []

    def progress() -> int:
        if is_broken:
            raise RuntimeError("no answer")
        return 5

    started = time.monotonic()
    with (
        pytest.raises(StalledError, match=r"stall_timeout_s: no progress for 0 s: waits for room; the stacks"),
        watchdog(progress, dumps),
    ):
        time.sleep(10)
    assert 0.2 <= time.monotonic() - started < 5
    assert len(dumps) == 1


def test_an_error_of_the_block_is_the_error() -> None:
    with pytest.raises(ValueError, match="mine"), watchdog(lambda: 5, []):
        raise ValueError("mine")


def test_what_it_waits_for_comes_before_the_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with (
        pytest.raises(StalledError),
        Watchdog(lambda: 5, 0.2, lambda: said.append(capsys.readouterr().err), lambda: "waits for a CPU"),
    ):
        time.sleep(10)
    assert said == ["no progress: waits for a CPU\n"]


def test_stacks_are_printed_though_the_cluster_does_not_answer() -> None:
    def explain() -> str:
        raise RuntimeError("no answer")

    dumps: list[float] = []
    with (
        pytest.raises(StalledError, match=r"0 s: what it waits for is not known \(RuntimeError\); the stacks"),
        Watchdog(lambda: 5, 0.2, lambda: dumps.append(0.0), explain),
    ):
        time.sleep(10)
    assert dumps == [0.0]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from pipeline.errors import FragmentError, JobError
from pipeline.failures import FragmentFailure
from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.stages import stage_runner
from pipeline.stages.stage_runner import NUM_TRIES, CrashCountingRunner
from tests.unit.pipeline.stages.test_write import FRAGMENT


@dataclass
class Method:
    call: Callable[..., Any]

    def remote(self, *args: Any) -> Any:
        return self.call(*args)


class Counter:
    """The actor that counts tries, in this process."""

    def __init__(self) -> None:
        tries = ProgressCounter()
        self.begin, self.end = Method(tries.begin), Method(tries.end)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CrashCountingRunner:
    monkeypatch.setattr(stage_runner, "get_result", lambda value: value)
    monkeypatch.setattr(stage_runner, "is_retry", lambda: True)
    return CrashCountingRunner(cast(Any, Counter()))


class ProcessDiedError(BaseException):
    """Nothing of the process runs after it."""


def die() -> None:
    raise ProcessDiedError


def fail(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_a_result_passes_however_often_it_is_asked_for(counting: CrashCountingRunner) -> None:
    for _ in range(10):
        assert counting("read", FRAGMENT, lambda: 5) == 5


def test_a_first_try_does_not_wait_for_the_counter(
    counting: CrashCountingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_runner, "is_retry", lambda: False)
    monkeypatch.setattr(stage_runner, "get_result", lambda value: pytest.fail("it waits"))
    assert counting("read", FRAGMENT, lambda: 5) == 5


@pytest.mark.parametrize(
    ("action", "num_ends"),
    [(lambda: 5, 0), (lambda: None, 1), (fail(FragmentError("gone")), 1)],
    ids=["a result", "none yet", "a failure"],
)
def test_a_first_try_tells_its_end_only_where_nothing_else_does(
    action: Callable[[], Any], num_ends: int, counting: CrashCountingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_runner, "is_retry", lambda: False)
    monkeypatch.setattr(stage_runner, "node_address", lambda: "10.0.0.3")
    ends: list[tuple[Any, ...]] = []

    def end(*message: Any) -> None:
        ends.append(message)

    cast(Any, counting.counter).end = Method(end)
    counting("annotate", FRAGMENT, action)
    assert len(ends) == num_ends


def test_an_error_becomes_a_failure_and_is_no_death(counting: CrashCountingRunner) -> None:
    for _ in range(10):
        result = counting("encode", FRAGMENT, fail(FragmentError("gone")))
        assert result == FragmentFailure.of(FRAGMENT, "encode", "gone")
    assert counting("encode", FRAGMENT, lambda: 5) == 5


def test_an_error_of_the_job_is_none_of_the_fragment(counting: CrashCountingRunner) -> None:
    with pytest.raises(JobError):
        counting("annotate", FRAGMENT, fail(JobError("no ranks")))


def test_after_as_many_deaths_a_stage_is_not_begun_again(counting: CrashCountingRunner) -> None:
    for _ in range(NUM_TRIES):
        with pytest.raises(ProcessDiedError):
            counting("encode", FRAGMENT, die)
    result = counting("encode", FRAGMENT, die)
    assert isinstance(result, FragmentFailure)
    assert result.reason.startswith("the process died 3 times at this fragment")
    assert counting("read", FRAGMENT, lambda: 5) == 5


def test_after_as_many_deaths_the_last_resort_is_tried_once(counting: CrashCountingRunner) -> None:
    def call(last_resort: Callable[[], Any]) -> object:
        return counting("encode", FRAGMENT, die, last_resort=last_resort)

    for _ in range(NUM_TRIES):
        with pytest.raises(ProcessDiedError):
            call(lambda: "safe")
    with pytest.raises(ProcessDiedError):
        call(die)
    assert isinstance(call(lambda: "safe"), FragmentFailure)
    for _ in range(NUM_TRIES):
        with pytest.raises(ProcessDiedError):
            call(lambda: "safe")
    assert call(lambda: "safe") == "safe"


def test_deaths_before_a_success_do_not_count(counting: CrashCountingRunner) -> None:
    for _ in range(4):
        for _ in range(NUM_TRIES - 1):
            with pytest.raises(ProcessDiedError):
                counting("write", FRAGMENT, die)
        assert counting("write", FRAGMENT, lambda: 5) == 5


def test_a_message_that_a_crash_loses_is_not_counted_against_the_fragment_before(
    counting: CrashCountingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[tuple[Any, ...]] = []
    counter = cast(Any, counting.counter)
    told = counter.end
    counter.end = Method(lambda *message: lost.append(message) or message)
    # A message that is waited for has arrived; others are lost when the process dies.
    monkeypatch.setattr(stage_runner, "get_result", lambda value: told.call(*value) if value in lost else value)
    for _ in range(2 * NUM_TRIES):
        assert counting("read", FRAGMENT, lambda: 5) == 5

"""Per-fragment fault isolation: count process crashes, turn exceptions into recorded failures.

After a crash, Ray retries the task in another process. So an actor counts the attempts, and a fragment that keeps
crashing processes is given up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ray.actor import ActorHandle

from pipeline.errors import JobError
from pipeline.failures import FragmentFailure, Stage, reason_of
from pipeline.fragments import Fragment
from pipeline.ray_actors import get_result, is_retry, node_address

NUM_TRIES = 3

T = TypeVar("T")


class StageRunner(Protocol):
    """Runs one stage of a fragment; returns its result or the fragment's failure."""

    def __call__(
        self, stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
    ) -> T | FragmentFailure:
        """Run `action`, or `last_resort`, a safer way to the same result, if `action` crashes processes."""


def run_unprotected(
    stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
) -> T | FragmentFailure:
    """Run `action` without handling errors."""
    return action()


@dataclass(frozen=True)
class CrashCountingRunner:
    """Runs stages in Ray tasks and actors; `counter` is a `ProgressCounter` actor.

    It is only asked for the number of crashes if Ray has retried the task: a task that waits for a result releases
    its CPU, for which Ray starts another process, which takes seconds. Otherwise the end of a stage that has a
    result is not told either, since what comes next tells it: the next stage, or a finished fragment or part.
    """

    counter: ActorHandle[Any]

    def __call__(
        self, stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
    ) -> T | FragmentFailure:
        """Run `action`; after `NUM_TRIES` crashes run `last_resort` once; after that the fragment fails."""
        begun: Any = self.counter.begin.remote(stage, fragment.part_path)
        num_deaths = get_result(begun) - 1 if is_retry() else 0
        if num_deaths == NUM_TRIES and last_resort is not None:
            result = as_failure(stage, fragment, last_resort)
        elif num_deaths >= NUM_TRIES:
            result = FragmentFailure.of(
                fragment,
                stage,
                f"the process died {num_deaths} times at this fragment; see the memory of the nodes, lower "
                "input.max_fragment_bytes or take the rows out of the input",
            )
        else:
            result = as_failure(stage, fragment, action)
        is_failed = isinstance(result, FragmentFailure)
        if is_retry() or is_failed or result is None:
            ended: Any = self.counter.end.remote(stage, fragment.part_path, node_address() if is_failed else None)
            if is_retry():
                # A crash at the next fragment of the task might lose the message, and count against this one.
                get_result(ended)
        return result


def as_failure(stage: Stage, fragment: Fragment, action: Callable[[], T]) -> T | FragmentFailure:
    """Run `action`; an exception becomes the failure of the fragment, except JobErrors, which end the job."""
    try:
        return action()
    except JobError:
        raise
    except Exception as error:
        return FragmentFailure.of(fragment, stage, reason_of(error))

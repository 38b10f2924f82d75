"""What stands between a bad fragment and the job: retries, and failures in place of errors.

An error of Python is caught where it is raised. The death of a process is seen only afterwards: Ray runs the task
again, so tries are counted by an actor, and a fragment whose process has died again and again is not tried anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ray.actor import ActorHandle

from pipeline.errors import JobError
from pipeline.failures import FragmentFailure, Stage, reason_of
from pipeline.fragments import Fragment
from pipeline.ray_actors import answer, is_retry

NUM_TRIES = 3

T = TypeVar("T")


class Guard(Protocol):
    """Runs one stage of a fragment's way; returns what came of it, or that it failed."""

    def __call__(
        self, stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
    ) -> T | FragmentFailure:
        """Run `action`, or where processes die of it `last_resort`, which comes to the same by a safer way."""


def unguarded(
    stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
) -> T | FragmentFailure:
    """The guard that lets errors pass."""
    return action()


@dataclass(frozen=True)
class CountingGuard:
    """The guard of a job on a cluster; `counter` is an actor with the methods of `AttemptCounter`.

    A task that waits for an answer gives back its CPU meanwhile, and Ray starts another process for that, which
    takes seconds: so it asks for the number of deaths only if it is tried again.
    """

    counter: ActorHandle[Any]

    def __call__(
        self, stage: Stage, fragment: Fragment, action: Callable[[], T], last_resort: Callable[[], T] | None = None
    ) -> T | FragmentFailure:
        """Run `action`; after `NUM_TRIES` deaths of its process `last_resort`, once; and then nothing more."""
        begun: Any = self.counter.begin.remote(stage, fragment.part_path)
        num_deaths = answer(begun) - 1 if is_retry() else 0
        if num_deaths == NUM_TRIES and last_resort is not None:
            result = caught(stage, fragment, last_resort)
        elif num_deaths >= NUM_TRIES:
            result = FragmentFailure.of(
                fragment,
                stage,
                f"the process died {num_deaths} times at this fragment; see the memory of the nodes, lower "
                "input.max_fragment_bytes or take the rows out of the input",
            )
        else:
            result = caught(stage, fragment, action)
        self.counter.end.remote(stage, fragment.part_path)
        return result


def caught(stage: Stage, fragment: Fragment, action: Callable[[], T]) -> T | FragmentFailure:
    """Run `action`; an error becomes a failure of the fragment, but for those that end the job."""
    try:
        return action()
    except JobError:
        raise
    except Exception as error:
        return FragmentFailure.of(fragment, stage, reason_of(error))

"""Find the items at which processes crash, by bisection. What is attempted, and where, is the caller's."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

# Of one search: bisecting 64 items takes six to find one that is to blame, and one more to be sure of it.
MAX_CRASHES = 32

T = TypeVar("T")
Items = NDArray[np.int64]


class CrashError(PipelineError):
    """The processes that worked at some items have crashed; `kind` names the error that tells of it."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"processes crashed: {kind}")
        self.kind = kind


class UnisolatedError(PipelineError):
    """Processes crash, and not because of a few items."""


def bisect_crashes(
    parts: Sequence[Items],
    attempt: Callable[[Items], T],
    halve: Callable[[Items], Sequence[Items]],
    where: str,
) -> list[tuple[Items, T | CrashError]]:
    """Attempt parts of some items, halving those that crash, down to single items, which are attempted twice.

    Args:
        parts: int64 `[n]` each, n > 0: item numbers to begin with.
        attempt: works at some items; raises CrashError.
        halve: two parts of two items or more.
        where: what the items are of, and the remedy, for the message of UnisolatedError.

    Returns:
        The parts in order, with the result of `attempt`; with the first of both errors for an item to blame.

    Raises:
        UnisolatedError: after `MAX_CRASHES` crashes.
    """
    num_crashes = 0

    def search(items: Items) -> list[tuple[Items, T | CrashError]]:
        nonlocal num_crashes
        crashes: list[CrashError] = []
        # Alone, an item gets a second attempt: the crash may have been an accident.
        for _ in range(2 if len(items) == 1 else 1):
            try:
                return [(items, attempt(items))]
            except CrashError as error:
                crashes.append(error)
                num_crashes += 1
            if num_crashes > MAX_CRASHES:
                raise UnisolatedError(f"processes died {num_crashes} times at parts of {where}")
        if len(items) == 1:
            return [(items, crashes[0])]
        return [found for half in halve(items) for found in search(half)]

    return [found for part in parts for found in search(part)]

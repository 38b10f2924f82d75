"""Find the items that crash a process, by bisection."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

# Of one search. Bisecting 64 items takes six crashes to find the one at fault, and one more to confirm it.
MAX_CRASHES = 32

T = TypeVar("T")
Items = NDArray[np.int64]


class CrashError(PipelineError):
    """The processes that worked on some items have crashed; `kind` is the name of the error that reported it."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"processes crashed: {kind}")
        self.kind = kind


class UnisolatedError(PipelineError):
    """Processes crash, but not because of a few items."""


def bisect_crashes(
    parts: Sequence[Items], attempt: Callable[[Items], T], halve: Callable[[Items], Sequence[Items]], where: str
) -> list[tuple[Items, T | CrashError]]:
    """Attempt parts of some items, halving those that crash, down to single items, which are attempted twice.

    Args:
        parts: int64 `[n]` each, n > 0, the item numbers to begin with.
        attempt: processes some items; raises CrashError.
        halve: splits two or more items.
        where: names the whole and the remedy, for the message of UnisolatedError.

    Returns:
        the final parts in order, each with the result of `attempt`, or the first error of an item at fault.

    Raises:
        UnisolatedError: after `MAX_CRASHES` crashes.
    """
    num_crashes = 0

    def search(items: Items) -> list[tuple[Items, T | CrashError]]:
        nonlocal num_crashes
        crashes: list[CrashError] = []
        # A single item gets a second attempt: the crash may have been an accident.
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

"""Estimate how long a run still takes, by the tokens that are left to compute and the rows left to write."""

from collections import deque
from dataclasses import dataclass

from pipeline.monitoring.progress_counter import Counts, Work

# The rate is measured over the last minute, so that it follows a cluster that grows or shrinks.
RATE_WINDOW_S = 60.0


class Rate:
    """Units per second. The time before the first unit does not count, as it goes into starting."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, seconds: float, total: float) -> None:
        """Add the total at a time."""
        if total == 0:
            return
        self._first = self._first or (seconds, total)
        self._recent.append((seconds, total))
        while len(self._recent) > 2 and self._recent[1][0] < seconds - RATE_WINDOW_S:
            self._recent.popleft()

    @property
    def recent(self) -> float:
        """Over the last minute; 0 if it is not known."""
        return _per_second(self._recent[0], self._recent[-1]) if self._recent else 0.0

    @property
    def usual(self) -> float:
        """Over the last minute, or over the whole time if nothing came in that minute."""
        if self._first is None:
            return 0.0
        return self.recent or _per_second(self._first, self._recent[-1])


def _per_second(first: tuple[float, float], last: tuple[float, float]) -> float:
    seconds = last[0] - first[0]
    return (last[1] - first[1]) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class Left:
    """What is left to do in this run; `num_tokens` is None before the first fragment is annotated."""

    num_tokens: int | None
    num_rows: int


def what_is_left(counts: Counts, work: Work) -> Left:
    """The rows that are not written, and the tokens of the rest, taken to be like the annotated fragments."""
    num_rows = max(0, work.to_do.num_rows - counts.num_rows - counts.num_failed_rows)
    if counts.annotated_bytes == 0:
        return Left(None, num_rows)
    total = counts.annotated_tokens / counts.annotated_bytes * work.num_bytes
    return Left(max(0, round(total) - counts.num_tokens), num_rows)


def remaining_s(left: Left, tokens_per_s: float, rows_per_s: float) -> float | None:
    """Remaining seconds by the slower of the two, computing and writing; None if not known yet."""
    if left.num_rows == 0:
        return 0.0
    if left.num_tokens is None or (left.num_tokens and tokens_per_s <= 0):
        return None
    computing_s = left.num_tokens / tokens_per_s if left.num_tokens else 0.0
    if rows_per_s <= 0:
        return computing_s or None
    return max(computing_s, left.num_rows / rows_per_s)

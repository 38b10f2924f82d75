"""What a leader tells of its batches: sums, in few messages, as one actor gets the messages of all leaders."""

import threading
import time
from typing import Any

from ray.actor import ActorHandle

from pipeline.monitoring.group_counts import Batches

INTERVAL_S = 1.0
"""Between two messages. What is left after the last one goes with that of the fragment's end."""


class BatchReports:
    """Adds up the batches of a shard group, for the `ProgressCounter` actor `counter`."""

    def __init__(self, counter: ActorHandle[Any], group: int) -> None:
        self._counter = counter
        self._group = group
        self._lock = threading.Lock()
        self._num_tokens = 0
        self._seconds = 0.0
        self._last_at = self._sent_at = float("-inf")

    def add(self, num_tokens: int, seconds: float) -> None:
        """A batch is done, which took the ranks so long; told at once if the last message is old enough."""
        with self._lock:
            self._num_tokens += num_tokens
            self._seconds += seconds
            self._last_at = time.monotonic()
            is_due = self._last_at - self._sent_at >= INTERVAL_S
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Tell of all batches that nothing was told of."""
        taken = self.take()
        if taken.num_tokens:
            self._counter.add_batches.remote(self._group, taken)

    def take(self) -> Batches:
        """The batches that nothing was told of, for a message that is sent now."""
        with self._lock:
            now = self._sent_at = time.monotonic()
            taken = Batches(self._num_tokens, self._seconds, now - self._last_at if self._num_tokens else 0.0)
            self._num_tokens, self._seconds = 0, 0.0
            return taken

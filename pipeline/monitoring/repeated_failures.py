"""When a run has to end: its fragments fail one after another, for a reason that is not theirs."""

from pipeline.failures import FragmentFailure
from pipeline.storage.access_errors import access_error_in

MAX_FAILED_WRITES = 20
"""Consecutive failed writes after which the run ends, as further results would be lost too."""
MAX_ACCESS_ERRORS = 10
"""Consecutive fragments with one and the same access error after which the run ends."""


class RepeatedFailures:
    """Counts the failures since the last part that was written."""

    def __init__(self) -> None:
        self._num_writes = 0
        self._access_error: str | None = None
        self._num_access_errors = 0

    def add(self, failure: FragmentFailure) -> str | None:
        """Count a failure; returns why the run has to end, or None."""
        self._num_writes += failure.stage == "write"
        error = access_error_in(failure.reason)
        if error != self._access_error:
            self._access_error, self._num_access_errors = error, 0
        self._num_access_errors += error is not None
        if self._num_access_errors >= MAX_ACCESS_ERRORS:
            return f"{MAX_ACCESS_ERRORS} fragments in a row failed with {error}, the last one: {failure}"
        if self._num_writes >= MAX_FAILED_WRITES:
            return f"{MAX_FAILED_WRITES} parts in a row could not be written, the last one: {failure}"
        return None

    def reset(self) -> None:
        """A part was written."""
        self._num_writes = self._num_access_errors = 0

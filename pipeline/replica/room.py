"""Wait for room on the cluster: say what is waited for, and give up after a timeout."""

import time
from collections.abc import Callable

from pipeline.errors import NoRoomError
from pipeline.monitoring.cluster_look import look_at_cluster
from pipeline.monitoring.cluster_state import describe_free
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases

# Where there is room, it is found sooner.
_WORTH_TELLING_S = 2.0
_MAX_INTERVAL_S = 1.0


class RoomWait:
    """Waits for at most `timeout_s`, or with None as long as it takes; shows what for beside the current phase.

    `num_looks` grows while it waits.
    """

    def __init__(self, timeout_s: float | None, phases: Phases, messages: Messages) -> None:
        self._timeout_s = timeout_s
        self._phases = phases
        self._messages = messages
        self.num_looks = 0

    def until(self, is_there: Callable[[], bool], wanted: Callable[[], str]) -> None:
        """Wait until something is there; `wanted` says what: `2 groups of {CPU: 2}`.

        Raises NoRoomError after the timeout.
        """
        began = time.monotonic()
        is_told = False
        while not is_there():
            seconds = time.monotonic() - began
            if self._timeout_s is not None and seconds > self._timeout_s:
                raise NoRoomError(
                    f"model.placement_timeout_s: found no room for {wanted()} within {self._timeout_s:g} s "
                    f"({describe_free(look_at_cluster())}), expected it on one node each; wait longer, lower "
                    "model.replicas or model.cpus_per_rank, or add nodes"
                )
            if seconds > _WORTH_TELLING_S:
                self.num_looks += 1
                self._phases.detail = f"waits for {wanted()}; {describe_free(look_at_cluster())}"
                if not is_told:
                    self._messages.note(self._phases.detail)
                is_told = True
            time.sleep(min(_MAX_INTERVAL_S, 0.01 + seconds / 10))
        self._phases.detail = None

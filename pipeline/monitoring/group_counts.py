"""What each shard group of a run has done so far, and whether it computes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

ReplicaState = Literal["waiting", "running", "rebuilding"]


@dataclass(frozen=True)
class Batches:
    """Some batches of a shard group, as one message tells of them.

    Attributes:
        num_tokens: their tokens.
        seconds: how long its ranks had one of them to compute.
        age_s: how long ago the last of them was done.
    """

    num_tokens: int = 0
    seconds: float = 0.0
    age_s: float = 0.0


@dataclass
class GroupCounts:
    """The counts of one shard group.

    Attributes:
        state: `waiting` until its model is loaded, for room or for the model.
        num_tokens: tokens that have gone through its trunks.
        busy_s: how long its ranks have had a batch to compute.
        num_rebuilds: how often all of its ranks were started again.
        peak_rank_bytes: peak memory of one of its ranks.
    """

    state: ReplicaState = "waiting"
    num_tokens: int = 0
    busy_s: float = 0.0
    num_rebuilds: int = 0
    peak_rank_bytes: int = 0


class GroupCounter:
    """The part of the progress actor that leaders report to, each with the number of its group."""

    def __init__(self) -> None:
        self._groups: defaultdict[int, GroupCounts] = defaultdict(GroupCounts)

    def set_state(self, group: int, state: ReplicaState) -> None:
        """The state of a group has changed."""
        counts = self._groups[group]
        counts.num_rebuilds += state == "rebuilding"
        counts.state = state

    def add_batches(self, group: int, batches: Batches) -> None:
        """A group has computed some batches."""
        counts = self._groups[group]
        counts.num_tokens += batches.num_tokens
        counts.busy_s += batches.seconds

    def add_peak(self, group: int, num_bytes: int) -> None:
        """The peak memory of the ranks of a group."""
        self._groups[group].peak_rank_bytes = max(self._groups[group].peak_rank_bytes, num_bytes)

    def end_all(self) -> None:
        """The leaders have ended."""
        for counts in self._groups.values():
            counts.state = "waiting"

    def groups(self) -> Mapping[int, GroupCounts]:
        """The counts of each group that was heard of."""
        return {group: replace(counts) for group, counts in self._groups.items()}

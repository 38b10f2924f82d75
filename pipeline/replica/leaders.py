"""Which leader uses which place, and which leaders have ranks: those take over fragments of the others."""

from collections.abc import Sequence
from typing import Any

from ray.actor import ActorHandle


class Leaders:
    """Part of the one actor of a run. A leader is known by its actor id, which it keeps when Ray restarts it."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._ready: dict[str, ActorHandle[Any]] = {}
        self._num_chosen = 0

    def place(self, leader_id: str, node_id: str, place_nodes: Sequence[str]) -> int:
        """The index of a place for a leader, by the nodes of all places; the same after a restart.

        It is one on the leader's own node if any is left.
        """
        self._ready.pop(leader_id, None)
        if leader_id not in self._places:
            left = [i for i in range(len(place_nodes)) if i not in self._places.values()]
            self._places[leader_id] = min(left, key=lambda i: place_nodes[i] != node_id)
        return self._places[leader_id]

    def open_leader(self, leader_id: str, leader: ActorHandle[Any]) -> None:
        """The leader has ranks."""
        self._ready[leader_id] = leader

    def close_leader(self, leader_id: str) -> None:
        """The leader has lost its ranks."""
        self._ready.pop(leader_id, None)

    def other_leader(self, leader_id: str) -> ActorHandle[Any] | None:
        """Another leader that has ranks, each in turn; None if there is none."""
        others = [leader for other, leader in self._ready.items() if other != leader_id]
        if not others:
            return None
        self._num_chosen += 1
        return others[self._num_chosen % len(others)]

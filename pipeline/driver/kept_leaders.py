"""Leaders outlive the dataset that has started them: the next one of the run gets the same actors, model and all.

Ray Data starts the actors of a pool for each dataset, and lets go of them at its end, when those that nobody else
refers to are ended. No option keeps them, so one of its methods is replaced while a run lasts; its version is
pinned.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.actor import ActorHandle
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator


class KeptLeaders:
    """The leaders of a run. Ray restarts those that die, under the same handle, also between two datasets."""

    def __init__(self) -> None:
        self._all: list[ActorHandle[Any]] = []
        self._free: list[ActorHandle[Any]] = []

    def release(self) -> None:
        """A dataset has ended: the next one may have its leaders."""
        self._free = list(self._all)

    def take(self) -> ActorHandle[Any] | None:
        """A leader that the current dataset does not have yet; None if one has to be started."""
        return self._free.pop(0) if self._free else None

    def keep(self, leader: ActorHandle[Any]) -> None:
        """Remember a leader that was started."""
        self._all.append(leader)

    def clear(self) -> None:
        """The run has ended, and its leaders may end."""
        self._all.clear()
        self._free.clear()


class _Started:
    """In place of the class of an actor: what has been started already, whatever it would be started with."""

    def __init__(self, leader: ActorHandle[Any]) -> None:
        self._leader = leader

    def options(self, **_: object) -> "_Started":
        """As of the class."""
        return self

    def remote(self, **_: object) -> ActorHandle[Any]:
        """The actor."""
        return self._leader


@contextmanager
def keeping_leaders() -> Iterator[KeptLeaders]:
    """Within the block, pools of actors are filled with the leaders of earlier datasets first."""
    kept = KeptLeaders()
    start_anew = ActorPoolMapOperator._start_actor

    def start(operator: Any, *arguments: Any) -> Any:
        leader, actor_class = kept.take(), operator._actor_cls
        if leader is None:
            started = start_anew(operator, *arguments)
            kept.keep(started[0])
            return started
        operator._actor_cls = _Started(leader)
        try:
            return start_anew(operator, *arguments)
        finally:
            operator._actor_cls = actor_class

    ActorPoolMapOperator._start_actor = start  # type: ignore[method-assign, assignment]
    try:
        yield kept
    finally:
        ActorPoolMapOperator._start_actor = start_anew  # type: ignore[method-assign]
        kept.clear()

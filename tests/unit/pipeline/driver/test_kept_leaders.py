"""Pools of actors, with a stand-in for the class whose actors Ray would start."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator

from pipeline.driver.kept_leaders import keeping_leaders


class ActorClass:
    """Starts an actor with a name of its own at each call."""

    def __init__(self) -> None:
        self._numbers = count()

    def options(self, **_: object) -> "ActorClass":
        return self

    def remote(self, **_: object) -> str:
        return f"leader {next(self._numbers)}"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The operator of a dataset; its method starts an actor as Ray Data's does, with labels."""

    def start_actor(operator: Any, labels: object, actor_id: str) -> tuple[str, str, None]:
        return operator._actor_cls.options(_labels=labels).remote(logical_actor_id=actor_id), actor_id, None

    monkeypatch.setattr(ActorPoolMapOperator, "_start_actor", start_actor)
    return SimpleNamespace(_actor_cls=ActorClass())


def start(pool: Any, size: int) -> list[str]:
    start_actor: Any = ActorPoolMapOperator._start_actor
    return [start_actor(pool, {}, f"id {i}")[0] for i in range(size)]


def test_the_next_dataset_gets_the_leaders_of_the_one_before(pool: Any) -> None:
    with keeping_leaders() as leaders:
        assert start(pool, 2) == ["leader 0", "leader 1"]
        # Before its end a dataset gets none twice.
        assert start(pool, 1) == ["leader 2"]
        for _ in range(2):
            leaders.release()
            assert start(pool, 3) == ["leader 0", "leader 1", "leader 2"]
        assert start(pool, 1) == ["leader 3"]
        assert isinstance(pool._actor_cls, ActorClass)


def test_a_run_has_leaders_of_its_own(pool: Any) -> None:
    before = ActorPoolMapOperator._start_actor
    with keeping_leaders() as leaders:
        start(pool, 1)
        leaders.release()
    assert ActorPoolMapOperator._start_actor is before
    assert leaders.take() is None
    with keeping_leaders():
        assert start(pool, 1) == ["leader 1"]

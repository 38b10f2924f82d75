"""What a leader does when ranks die, stall or raise errors; here a script says which of them do, and when."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import ray
from ray.exceptions import ActorDiedError, RayTaskError

from pipeline.batching.rank_batch import RankBatch
from pipeline.replica import shard_group
from pipeline.replica.layout import RankResources
from pipeline.replica.placement import Place
from pipeline.replica.rank import OutOfMemory
from pipeline.replica.rank_settings import RankSettings
from pipeline.replica.recovery import NUM_BATCHES_IN_FLIGHT, Recovery
from pipeline.replica.shard_group import MAX_STARTS, PlacementLostError, Replica, ShardGroupError
from pipeline.tasks.requests import HeadRequest
from tests.unit.pipeline.replica.fake_cluster import SILENT, Event, FakeCluster

DIED = ActorDiedError()
RAISED = RayTaskError("Rank.launch", "Traceback", RuntimeError("Connection closed by peer"))

StartReplica = Callable[..., tuple[Replica, FakeCluster]]


@pytest.fixture(params=["cpu", "cuda"])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StartReplica:
    settings = RankSettings(request.param, "float32", num_threads=1, num_usable_tokens=10)

    def start_replica(
        script: dict[Event, Any] | None = None, size: int = 2, num_generations_with_room: int = 1000
    ) -> tuple[Replica, FakeCluster]:
        cluster = FakeCluster(size, script or {}, num_generations_with_room=num_generations_with_room)
        monkeypatch.setattr(shard_group, "start_actor", cluster.start_actor)
        monkeypatch.setattr(shard_group, "get_result", cluster.get_result)
        monkeypatch.setattr(ray, "wait", cluster.wait)
        monkeypatch.setattr(ray, "kill", cluster.kill)
        monkeypatch.setattr(ray, "put", lambda value: value)
        place = cast(Place, cluster)
        resources, rebuilding = RankResources(1, 0), cluster.rebuilding
        replica = Replica([], settings, resources, size, place, batch_timeout_s=9, rebuilding=rebuilding)
        return replica, cluster

    monkeypatch.setattr(shard_group, "RESTART_PAUSE_S", 0.0)
    monkeypatch.setattr(shard_group, "PlacementGroupSchedulingStrategy", lambda *args, **options: None)
    return start_replica


def run(replica: Replica, num_batches: int) -> list[int]:
    """Which batch each of the results is of; -1 for one that is lost."""
    outcomes = recovery(replica).run(batch(str(i)) for i in range(num_batches))
    return [-1 if o.lost else int(cast(Any, o.results["head"][0])[0]) for o in outcomes]


def batch(name: str) -> RankBatch:
    """A batch of one sequence."""
    request = HeadRequest(np.zeros(1, dtype=np.int32))
    return RankBatch(name, np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.int32), {"head": request})


def recovery(replica: Replica) -> Recovery:
    return Recovery(replica, 100, lambda text: None)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("num_batches", [0, 1, 5])
def test_every_batch_goes_to_every_rank_and_comes_back_in_order(
    num_batches: int, size: int, start: StartReplica
) -> None:
    replica, cluster = start(size=size)
    assert run(replica, num_batches) == list(range(num_batches))
    assert cluster.num_generations == 1
    assert cluster.sent == [(0, rank, str(i)) for i in range(num_batches) for rank in range(size)]


def test_few_batches_are_under_way_at_once(start: StartReplica) -> None:
    replica, _ = start()
    num_taken = 0

    def batches() -> Any:
        nonlocal num_taken
        for _ in range(10):
            num_taken += 1
            yield batch("0")

    for num_done, _ in enumerate(recovery(replica).run(batches()), start=1):
        assert num_taken <= num_done + NUM_BATCHES_IN_FLIGHT


@pytest.mark.parametrize(
    "script",
    [
        {(0, 1, "2"): DIED},
        {(0, 0, "2"): DIED, (0, 1, "2"): DIED},
        {(0, 1, "2"): SILENT},
        # What the surviving rank says comes first, and is not the reason.
        {(0, 0, "2"): RAISED, (0, 1, "2"): DIED},
        {(0, 0, "2"): RAISED, (0, 1, "2"): DIED, (0, 0, "3"): RAISED, (0, 1, "3"): DIED},
    ],
    ids=[
        "one dies",
        "both die",
        "one stalls",
        "the other complains first",
        "with a batch behind it",
    ],
)
def test_a_lost_rank_costs_one_rebuild_and_no_batch(script: dict[Event, Any], start: StartReplica) -> None:
    replica, cluster = start(script)
    assert run(replica, 6) == list(range(6))
    assert cluster.num_generations == 2
    assert cluster.rebuilds == ["from 1", "to 2"]
    assert all(rank.is_killed == (rank.generation == 0) for rank in cluster.ranks)
    # Those that were not answered are sent again, and no others.
    again = [i for generation, rank, i in cluster.sent if (generation, rank) == (1, 0)]
    assert again == ["2", "3", "4", "5"]


@pytest.mark.parametrize("start", ["cuda"], indirect=True)
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_launching_is_told_though_the_rank_was_collected(rank: int, start: StartReplica) -> None:
    replica, cluster = start({(0, rank, "launch 2"): RAISED, (0, rank, "2"): None})
    assert run(replica, 6) == list(range(6))
    assert cluster.num_generations == 2


@pytest.mark.parametrize("event", ["meet", "load"])
def test_a_rank_that_dies_while_the_group_starts_costs_a_rebuild(event: str, start: StartReplica) -> None:
    replica, cluster = start({(0, 0, event): DIED})
    assert cluster.num_generations == 2
    assert run(replica, 2) == [0, 1]
    replica, cluster = start({(0, 1, "0"): DIED, (1, 0, event): DIED})
    assert run(replica, 2) == [0, 1]
    assert cluster.num_generations == 3


def test_a_group_that_cannot_be_started_is_given_up(start: StartReplica) -> None:
    replica, cluster = start({(0, 1, "1"): DIED, **{(g, 1, "load"): DIED for g in range(1, MAX_STARTS + 1)}})
    with pytest.raises(ShardGroupError, match=f"of 2 ranks was started {MAX_STARTS} times and failed again"):
        run(replica, 3)
    assert cluster.num_generations == 1 + MAX_STARTS
    with pytest.raises(ShardGroupError):
        start({(generation, 0, "load"): SILENT for generation in range(MAX_STARTS)})


def test_ranks_that_lose_their_node_are_not_rebuilt_before_there_is_room(start: StartReplica) -> None:
    replica, cluster = start({(0, 1, "1"): DIED}, num_generations_with_room=1)
    with pytest.raises(PlacementLostError):
        run(replica, 3)
    assert cluster.num_generations == 1
    assert all(rank.is_killed for rank in cluster.ranks)


@pytest.mark.parametrize("event", ["meet", "load"])
def test_ranks_that_wait_for_a_lost_node_are_given_up(event: str, start: StartReplica) -> None:
    # The node is lost while they start; nobody has noticed that it is before.
    replica, cluster = start({(0, 1, "1"): DIED, (1, 0, event): SILENT}, num_generations_with_room=2)
    with pytest.raises(PlacementLostError):
        run(replica, 3)
    assert cluster.num_generations == 2
    assert all(rank.is_killed for rank in cluster.ranks)


def test_a_batch_that_the_ranks_die_of_is_lost_and_no_other(start: StartReplica) -> None:
    replica, cluster = start({(generation, 1, "1"): DIED for generation in range(100)})
    assert run(replica, 4) == [0, -1, 2, 3]
    # The first try, the second, and two more of the sequence alone.
    assert cluster.num_generations == 1 + 4
    assert run(replica, 1) == [0]


@pytest.mark.parametrize(
    "script",
    [{(0, 0, "1"): RAISED, (0, 1, "1"): SILENT}, {(0, 0, "1"): RAISED, (0, 1, "1"): RAISED}],
    ids=["one, and the other waits for it", "both"],
)
def test_an_error_of_a_rank_costs_a_rebuild_like_its_death(script: dict[Event, Any], start: StartReplica) -> None:
    replica, cluster = start(script)
    assert run(replica, 3) == [0, 1, 2]
    assert cluster.num_generations == 2


def test_an_error_of_loading_is_not_tried_again(start: StartReplica) -> None:
    with pytest.raises(ShardGroupError, match="cannot load the model: Connection closed by peer"):
        start({(0, 1, "load"): RAISED})


TOO_LARGE = OutOfMemory(1)


@pytest.mark.parametrize(
    ("script", "num_generations"),
    [
        ({(0, 0, "1"): TOO_LARGE, (0, 1, "1"): TOO_LARGE}, 1),
        ({(0, 1, "1"): TOO_LARGE}, 1),
        ({(0, 0, "1"): TOO_LARGE, (0, 1, "1"): TOO_LARGE, (0, 0, "step"): False}, 2),
        ({(0, 0, "1"): TOO_LARGE, (0, 1, "1"): TOO_LARGE, (0, 1, "step"): SILENT}, 2),
        ({(0, 0, "1"): TOO_LARGE, (0, 1, "1"): TOO_LARGE, (0, 1, "step"): RAISED}, 2),
    ],
    ids=["both", "one, at its end", "out of step", "one waits", "one complains"],
)
def test_ranks_that_run_out_of_memory_live_on_if_they_are_in_step(
    script: dict[Event, Any], num_generations: int, start: StartReplica
) -> None:
    replica, cluster = start(script)
    assert run(replica, 4) == [0, -1, 2, 3]
    assert cluster.num_generations == num_generations
    assert cluster.rebuilds == ["from 1", "to 2"][: 2 * (num_generations - 1)]


def test_a_rank_that_waits_for_one_without_memory_is_killed_and_the_batch_tried_again(start: StartReplica) -> None:
    replica, cluster = start({(0, 0, "1"): TOO_LARGE, (0, 1, "1"): SILENT})
    assert run(replica, 4) == [0, 1, 2, 3]
    assert cluster.num_generations == 2


def test_a_rank_without_memory_that_runs_alone_is_not_asked_for_its_step(start: StartReplica) -> None:
    replica, cluster = start({(0, 0, "1"): TOO_LARGE, (0, 0, "step"): False}, size=1)
    assert run(replica, 3) == [0, -1, 2]
    assert cluster.num_generations == 1


def test_memory_is_told_by_living_ranks_only(start: StartReplica) -> None:
    replica, _ = start()
    assert replica.peak_memory() == [0, 1]
    replica, _ = start({(0, 1, "peak"): DIED})
    assert replica.peak_memory() == []
    assert run(replica, 1) == [0]

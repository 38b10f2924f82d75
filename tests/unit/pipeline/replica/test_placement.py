from typing import Any

import pytest
import ray

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.replica.placement import (
    LeaderPlaces,
    RankResources,
    describe_fewer_replicas,
    lay_out,
    rank_resources,
    replicas_that_fit,
)


def model(**options: Any) -> ModelSection:
    return ModelSection.model_validate({"path": "m", **options})


@pytest.mark.parametrize(
    ("options", "num_replicas", "cores", "expected"),
    [
        ({}, 1, 8, 8),
        ({}, 2, 8, 4),
        ({"tensor_parallel_size": 2}, 1, 8, 4),
        ({"tensor_parallel_size": 2}, 2, 8, 2),
        ({"tensor_parallel_size": 3}, 1, 8, 2),
        ({"tensor_parallel_size": 4}, 1, 2, 0.5),
        ({"tensor_parallel_size": 3}, 1, 2, 0.667),
        # More replicas get no smaller share than a core.
        ({}, 500, 8, 1),
        ({"tensor_parallel_size": 4}, 500, 8, 1),
        ({"tensor_parallel_size": 4}, 500, 2, 0.5),
        ({"cpus_per_rank": 3}, 4, 8, 3),
    ],
)
def test_ranks_share_the_cores_of_a_node(
    options: dict[str, Any], num_replicas: int, cores: int, expected: float
) -> None:
    resources = rank_resources(model(**options), "cpu", cores, num_replicas)
    assert resources == RankResources(expected, 0)
    assert resources.bundle == {"CPU": expected}
    assert resources.num_threads == max(1, int(expected))


def test_a_rank_on_a_gpu_has_it_for_itself_and_a_core() -> None:
    resources = rank_resources(model(tensor_parallel_size=8), "cuda", 64)
    assert resources.bundle == {"CPU": 1, "GPU": 1}
    assert rank_resources(model(cpus_per_rank=4), "cuda", 64).bundle == {"CPU": 4, "GPU": 1}


def test_each_leader_has_a_place_and_gets_it_again() -> None:
    places = LeaderPlaces()
    assert [places.place(0, leader) for leader in ("a", "b", "a", "b")] == [0, 1, 0, 1]
    # The next dataset has leaders and placement groups of its own.
    assert [places.place(10_000, leader) for leader in ("c", "d", "c")] == [0, 1, 0]


def nodes(*resources: dict[str, float]) -> list[dict[str, Any]]:
    return [{"Alive": True, "Resources": r} for r in resources]


@pytest.mark.parametrize(
    ("size", "resources", "cluster", "expected"),
    [
        # One core a node is left for reading and tokenizing.
        (1, RankResources(1, 0), nodes({"CPU": 8}), 7),
        (1, RankResources(4, 0), nodes({"CPU": 8}, {"CPU": 9}), 3),
        (2, RankResources(2, 0), nodes({"CPU": 8}, {"CPU": 9}), 3),
        (4, RankResources(1, 1), nodes({"CPU": 64, "GPU": 8}, {"CPU": 64, "GPU": 7}), 3),
        (1, RankResources(1, 1), nodes({"CPU": 4, "GPU": 8}), 3),
        # A group does not spread over nodes, and a head without CPUs takes none.
        (2, RankResources(1, 1), nodes({"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 3}, {}), 1),
        (1, RankResources(1, 0), [*nodes({"CPU": 3}), {"Alive": False, "Resources": {"CPU": 64}}], 2),
    ],
)
def test_as_many_replicas_as_the_nodes_hold(
    size: int,
    resources: RankResources,
    cluster: list[dict[str, Any]],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: cluster)
    assert replicas_that_fit(size, resources) == expected


@pytest.mark.parametrize(
    ("options", "device", "cluster", "num_fragments", "expected"),
    [
        ({"replicas": 500}, "cpu", nodes({"CPU": 9}), 1, (8, 1)),
        ({"replicas": 500}, "cpu", nodes({"CPU": 9}), 2, (4, 2)),
        ({"replicas": 500}, "cpu", nodes({"CPU": 9}), 1000, (1, 8)),
        ({"replicas": 500}, "cuda", nodes({"CPU": 9, "GPU": 4}, {"CPU": 9, "GPU": 2}), 1000, (1, 6)),
        ({"replicas": 500, "cpus_per_rank": 4}, "cpu", nodes({"CPU": 9}, {"CPU": 9}), 1000, (4, 4)),
        ({"replicas": 3}, "cpu", nodes({"CPU": 9}), 1000, (2, 3)),
        ({"replicas": "auto"}, "cpu", nodes({"CPU": 9}, {"CPU": 9}), 1000, (8, 2)),
        ({"replicas": "auto"}, "cpu", nodes({"CPU": 9}, {"CPU": 9}), 1, (8, 1)),
        # One replica is tried though there is no room for it now.
        ({"replicas": 2}, "cuda", nodes({"CPU": 9}), 1000, (1, 1)),
        ({"tensor_parallel_size": 4}, "cpu", nodes({"CPU": 3}), 1000, (0.5, 1)),
    ],
)
def test_no_more_replicas_than_there_is_work_and_room_for(
    options: dict[str, Any],
    device: str,
    cluster: list[dict[str, Any]],
    num_fragments: int,
    expected: tuple[float, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: cluster)
    cores = int(cluster[0]["Resources"]["CPU"]) - 1
    resources, num_replicas = lay_out(model(**options), device, cores, num_fragments)
    assert (resources.num_cpus, num_replicas) == expected


@pytest.mark.parametrize(
    ("asked", "used", "num_fragments", "said"),
    [
        (500, 1, 1, "model.replicas: 500 asked for, 1 used, as many as there are fragments"),
        (500, 8, 20, "model.replicas: 500 asked for, 8 used, as many as the cluster holds"),
        (2, 2, 20, None),
        ("auto", 1, 1, None),
    ],
)
def test_fewer_replicas_than_asked_for_are_named(
    asked: Any, used: int, num_fragments: int, said: str | None
) -> None:
    assert describe_fewer_replicas(model(replicas=asked), used, num_fragments) == said


def test_no_room_for_a_single_replica_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: nodes({"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}))
    wanted = model(tensor_parallel_size=2, replicas="auto")
    with pytest.raises(ConfigError, match=r"^model\.replicas: no node holds a shard group of 2 ranks"):
        lay_out(wanted, "cuda", 7, num_fragments=10)

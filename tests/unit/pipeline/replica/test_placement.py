from typing import Any, cast

import pytest
import ray
from ray.util.placement_group import PlacementGroup

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.replica.placement import (
    GroupLease,
    RankResources,
    rank_environment,
    rank_resources,
    replicas_that_fit,
)


def model(**options: Any) -> ModelSection:
    return ModelSection.model_validate({"path": "m", **options})


@pytest.mark.parametrize(
    ("options", "cores", "expected"),
    [
        ({}, 8, 8),
        ({"replicas": 2}, 8, 4),
        ({"tensor_parallel_size": 2}, 8, 4),
        ({"tensor_parallel_size": 2, "replicas": 2}, 8, 2),
        ({"tensor_parallel_size": 3}, 8, 2),
        ({"replicas": "auto"}, 8, 8),
        ({"tensor_parallel_size": 4}, 2, 0.5),
        ({"tensor_parallel_size": 3}, 2, 0.667),
        ({"cpus_per_rank": 3, "replicas": 4}, 8, 3),
    ],
)
def test_ranks_share_the_cores_of_a_node(options: dict[str, Any], cores: int, expected: float) -> None:
    resources = rank_resources(model(**options), "cpu", cores)
    assert resources == RankResources(expected, 0)
    assert resources.bundle == {"CPU": expected}
    assert resources.num_threads == max(1, int(expected))


def test_a_rank_on_a_gpu_has_it_for_itself_and_a_core() -> None:
    resources = rank_resources(model(tensor_parallel_size=8), "cuda", 64)
    assert resources.bundle == {"CPU": 1, "GPU": 1}
    assert rank_resources(model(cpus_per_rank=4), "cuda", 64).bundle == {"CPU": 4, "GPU": 1}


def test_each_leader_has_a_group_and_gets_it_again() -> None:
    groups = [cast(PlacementGroup, name) for name in ("first", "second")]
    lease = GroupLease(groups)
    assert [lease.acquire(leader) for leader in ("a", "b", "a", "b")] == ["first", "second", "first", "second"]
    with pytest.raises(RuntimeError, match="all 2 placement groups are held"):
        lease.acquire("c")


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


def test_no_room_for_a_single_replica_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: nodes({"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}))
    with pytest.raises(ConfigError, match=r"^model\.replicas: no node holds a shard group of 2 ranks"):
        replicas_that_fit(2, RankResources(1, 1))


def test_the_environment_of_a_rank_leaves_what_is_set_and_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    assert rank_environment("cpu") == {"THP_MEM_ALLOC_ENABLE": "1"}
    assert rank_environment("cuda") == {}
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    assert rank_environment("cpu") == {}

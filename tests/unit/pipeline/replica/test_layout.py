from typing import Any

import pytest

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.monitoring.cluster_state import ClusterState, Node
from pipeline.replica.layout import (
    Layout,
    RankResources,
    assign,
    describe_fewer_replicas,
    describe_layout,
    lay_out,
    rank_resources,
)

Amounts = dict[str, float]


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
        # Rounded down: three of them still fit.
        ({"tensor_parallel_size": 3}, 1, 2, 0.666),
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


def cluster(*nodes: Amounts | tuple[Amounts, Amounts], has_autoscaler: bool = False) -> ClusterState:
    """Nodes by what they have, and by what of it is free if not all."""
    pairs = [node if isinstance(node, tuple) else (node, node) for node in nodes]
    return ClusterState(
        tuple(Node(f"n{i}", f"10.0.0.{i}", total, free) for i, (total, free) in enumerate(pairs)),
        has_autoscaler=has_autoscaler,
    )


@pytest.mark.parametrize(
    ("group", "num_replicas", "nodes", "spread", "packed"),
    [
        # The node with the fewest, then the one with most room; a CPU is left on each.
        ({"CPU": 2}, 2, [{"CPU": 3}, {"CPU": 3}], [0, 1], [0, 1]),
        ({"CPU": 2}, 2, [{"CPU": 5}, {"CPU": 9}], [1, 0], [0, 0]),
        ({"CPU": 2}, 4, [{"CPU": 5}, {"CPU": 9}], [1, 0, 1, 0], [0, 0, 1, 1]),
        ({"CPU": 2}, 9, [{"CPU": 5}, {"CPU": 9}], [1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 1]),
        ({"CPU": 2}, 3, [{"CPU": 3}, {}, {"CPU": 1}], [0], [0]),
        ({"CPU": 1, "GPU": 1}, 9, [{"CPU": 8, "GPU": 2}, {"CPU": 8}, {"CPU": 2, "GPU": 4}], [0, 2, 0], [2, 0, 0]),
        ({"CPU": 2, "GPU": 2}, 9, [{"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 3}], [1], [1]),
        # With no CPU left on the node itself, if there is one elsewhere.
        ({"CPU": 2}, 1, [{"CPU": 1}, {"CPU": 2}], [1], [1]),
        ({"CPU": 2}, 2, [{"CPU": 2}, {"CPU": 2}], [0], [0]),
        ({"CPU": 2}, 1, [{"CPU": 2}], [], []),
        ({"CPU": 2}, 1, [], [], []),
        # Amounts of CPUs are fractions.
        ({"CPU": 0.3}, 9, [{"CPU": 1.9}], [0, 0, 0], [0, 0, 0]),
    ],
)
def test_groups_are_spread_over_nodes_or_packed(
    group: Amounts, num_replicas: int, nodes: list[Amounts], spread: list[int], packed: list[int]
) -> None:
    amounts = {str(i): node for i, node in enumerate(nodes)}
    assert assign(amounts, group, num_replicas, "spread") == [str(i) for i in spread]
    assert assign(amounts, group, num_replicas, "pack") == [str(i) for i in packed]


def test_nodes_are_filled_if_a_task_finds_a_cpu_elsewhere() -> None:
    amounts = {"a": {"CPU": 2.0}, "b": {"CPU": 2.0}, "c": {"CPU": 3.0}}
    assert assign(amounts, {"CPU": 2}, 9, "spread") == ["c"]
    # The third one would leave 1 CPU on the last node, which is enough; a fourth has no room.
    assert assign(amounts, {"CPU": 2}, 9, "spread", fills_nodes=True) == ["c", "a", "b"]
    assert assign({"a": {"CPU": 2.0}, "b": {"CPU": 2.0}}, {"CPU": 2}, 9, "spread", fills_nodes=True) == ["a"]


@pytest.mark.parametrize(
    ("options", "device", "nodes", "num_fragments", "expected"),
    [
        ({"replicas": 500}, "cpu", [{"CPU": 9}], 1, (8, 1)),
        ({"replicas": 500}, "cpu", [{"CPU": 9}], 2, (4, 2)),
        ({"replicas": 500}, "cpu", [{"CPU": 9}], 1000, (1, 8)),
        ({"replicas": 500}, "cuda", [{"CPU": 9, "GPU": 4}, {"CPU": 9, "GPU": 2}], 1000, (1, 6)),
        ({"replicas": 500, "cpus_per_rank": 4}, "cpu", [{"CPU": 9}, {"CPU": 9}], 1000, (4, 4)),
        ({"replicas": 3}, "cpu", [{"CPU": 9}], 1000, (2, 3)),
        ({"replicas": 2, "cpus_per_rank": 2}, "cpu", [{"CPU": 2}, {"CPU": 2}, {"CPU": 2}], 1000, (2, 2)),
        ({"replicas": "auto"}, "cpu", [{"CPU": 9}, {"CPU": 9}], 1000, (8, 2)),
        ({"replicas": "auto"}, "cpu", [{"CPU": 9}, {"CPU": 9}], 1, (8, 1)),
        ({"tensor_parallel_size": 4}, "cpu", [{"CPU": 3}], 1000, (0.5, 1)),
        ({"tensor_parallel_size": 3}, "cpu", [{"CPU": 3}], 1000, (0.666, 1)),
    ],
)
def test_no_more_replicas_than_there_is_work_and_room_for(
    options: dict[str, Any], device: str, nodes: list[Amounts], num_fragments: int, expected: tuple[float, int]
) -> None:
    cores = int(nodes[0]["CPU"]) - 1
    found = lay_out(model(**options), device, cores, num_fragments, cluster(*nodes))
    assert (found.resources.num_cpus, found.num_replicas) == expected
    assert None not in found.nodes


HALF_BUSY = [({"CPU": 9.0}, {"CPU": 9.0}), ({"CPU": 9.0}, {"CPU": 4.0})]
BUSY = [({"CPU": 9.0}, {"CPU": 1.0}), ({"CPU": 9.0}, {"CPU": 4.0})]
FULL = [({"CPU": 9.0}, {"CPU": 1.0}), ({"CPU": 9.0}, {"CPU": 3.0})]


@pytest.mark.parametrize(
    ("replicas", "nodes", "expected"),
    [
        # As many as there is room for now, or one that waits.
        ("auto", HALF_BUSY, ("n0", "n0")),
        ("auto", BUSY, ("n1",)),
        ("auto", FULL, (None,)),
        # A number waits for all that the empty cluster holds.
        (4, HALF_BUSY, ("n0", "n0", "n1", None)),
        (4, BUSY, ("n1", None, None, None)),
        (500, FULL, (None, None, None, None)),
    ],
)
def test_a_number_of_replicas_waits_for_room_and_auto_takes_what_is_free(
    replicas: Any, nodes: list[tuple[Amounts, Amounts]], expected: tuple[str | None, ...]
) -> None:
    wanted = model(replicas=replicas, cpus_per_rank=4)
    assert lay_out(wanted, "cpu", 8, 1000, cluster(*nodes)).nodes == expected


def test_auto_uses_the_free_resources_of_nodes_evenly() -> None:
    nodes = [({"CPU": 9.0}, {"CPU": 5.0}), ({"CPU": 9.0}, {"CPU": 9.0}), ({"CPU": 9.0}, {"CPU": 3.0})]
    found = lay_out(model(replicas="auto", cpus_per_rank=2), "cpu", 8, 4, cluster(*nodes))
    assert found.nodes == ("n1", "n0", "n2", "n1")


@pytest.mark.parametrize(
    ("options", "nodes", "said"),
    [
        (
            {"tensor_parallel_size": 2},
            [{"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}, {"CPU": 4}],
            r"^model\.tensor_parallel_size, model\.cpus_per_rank: no node holds a shard group of 2 ranks with "
            r"{CPU: 1, GPU: 1} each, also when it is empty \(nodes: 1 of {CPU: 4}, 2 of {CPU: 8, GPU: 1}\); lower",
        ),
        (
            {"device": "cpu", "cpus_per_rank": 2},
            [{"CPU": 2}],
            r"^model\.cpus_per_rank: a shard group of 1 rank with {CPU: 2} each takes all CPUs of the cluster "
            r"\(the nodes that hold it have {CPU: 2}\), expected 1 to be left on any node to read and tok",
        ),
    ],
)
@pytest.mark.parametrize("replicas", ["auto", 1, 3])
def test_what_never_fits_is_refused_unless_the_cluster_may_grow(
    replicas: Any, options: dict[str, Any], nodes: list[Amounts], said: str
) -> None:
    device = options.get("device", "cuda")
    wanted = model(replicas=replicas, **options)
    with pytest.raises(ConfigError, match=said):
        lay_out(wanted, device, 7, 10, cluster(*nodes))
    # Though it is busy, it is refused, not waited for.
    with pytest.raises(ConfigError, match=said):
        lay_out(wanted, device, 7, 10, cluster(*((node, {}) for node in nodes)))
    num_waiting = 1 if replicas == "auto" else replicas
    growing = lay_out(wanted, device, 7, 10, cluster(*nodes, has_autoscaler=True))
    assert growing.nodes == (None,) * num_waiting


def test_an_empty_cluster_with_an_autoscaler_is_asked_for_all_replicas() -> None:
    found = lay_out(model(replicas=3), "cuda", 1, 10, cluster({}, has_autoscaler=True))
    assert found.nodes == (None, None, None)


@pytest.mark.parametrize(
    ("asked", "used", "num_fragments", "said"),
    [
        (500, 1, 1, "model.replicas: 500 asked for, 1 used, as many as there are fragments"),
        (500, 8, 20, "model.replicas: 500 asked for, 8 used, as many as the cluster holds"),
        (2, 2, 20, None),
        ("auto", 8, 20, None),
        ("auto", 2, 20, "model.replicas: 2 used, of 8 that the empty cluster would hold; free {CPU: 4}"),
    ],
)
def test_fewer_replicas_than_possible_are_named(
    asked: Any, used: int, num_fragments: int, said: str | None
) -> None:
    layout = Layout(RankResources(1, 0), 1, ("n0",) * used, num_possible=8)
    found = describe_fewer_replicas(model(replicas=asked), layout, num_fragments, cluster({"CPU": 4}))
    assert found == said


def test_a_layout_is_told_by_node() -> None:
    nodes = cluster(({"CPU": 9.0}, {"CPU": 6.0}), {"CPU": 3.0}, {}).nodes
    layout = Layout(RankResources(1, 0), 2, ("n0", "n1", "n0", None), num_possible=4)
    assert describe_layout(layout, nodes) == [
        "2 groups on 10.0.0.0 (free {CPU: 6} of {CPU: 9})",
        "1 group on 10.0.0.1 (free {CPU: 3} of {CPU: 3})",
        "1 group of {CPU: 2} would wait for room",
    ]

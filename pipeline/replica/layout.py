"""Lay the replicas of a job out over the nodes of a cluster: how many there are, and which node each shall be on.

Pure functions of the state of the cluster, so that a later state can be laid out in the same way.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.monitoring.cluster_state import ClusterState, Node, Resources, describe_free, show

Placement = Literal["spread", "pack"]
# Of a task that reads and tokenizes, or writes. One such task is enough for a job to go on.
TASK_CPUS = 1


@dataclass(frozen=True)
class RankResources:
    """The resources that one rank requests of Ray."""

    num_cpus: float
    num_gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """As a bundle of a placement group."""
        return {"CPU": self.num_cpus} | ({"GPU": self.num_gpus} if self.num_gpus else {})

    @property
    def num_threads(self) -> int:
        """Torch threads of a rank: its whole CPUs, at least one."""
        return max(1, int(self.num_cpus))

    def of_group(self, size: int) -> dict[str, float]:
        """The resources of a shard group of so many ranks."""
        return {name: round(size * amount, 3) for name, amount in self.bundle.items()}


@dataclass(frozen=True)
class Layout:
    """The replicas of a job on a cluster.

    Attributes:
        resources: of each rank.
        size: ranks of a replica.
        nodes: the id of the node that each replica shall be on; None for those that wait for room.
        num_possible: as many replicas as the empty cluster would hold, and there are fragments for.
    """

    resources: RankResources
    size: int
    nodes: tuple[str | None, ...]
    num_possible: int

    @property
    def num_replicas(self) -> int:
        """The number of shard groups."""
        return len(self.nodes)

    @property
    def group(self) -> Resources:
        """The resources of one shard group."""
        return self.resources.of_group(self.size)


def rank_resources(model: ModelSection, device: str, cores_per_node: int, num_replicas: int = 1) -> RankResources:
    """CPUs and GPUs of a rank.

    A rank with a GPU needs one core. On CPUs, the ranks of all replicas share the cores of a node, unless
    `model.cpus_per_rank` is set; a rank gets less than a core only if one replica has more ranks than cores.
    """
    if model.cpus_per_rank is not None:
        num_cpus = float(model.cpus_per_rank)
    elif device == "cuda":
        num_cpus = 1.0
    else:
        num_local = min(num_replicas, max(1, cores_per_node // model.tensor_parallel_size))
        share = cores_per_node / (model.tensor_parallel_size * num_local)
        # Rounded down, so that all ranks together do not take more than the cores.
        num_cpus = float(int(share)) if share >= 1 else int(share * 1000) / 1000
    return RankResources(num_cpus, 1.0 if device == "cuda" else 0.0)


def lay_out(
    model: ModelSection, device: str, cores_per_node: int, num_fragments: int, cluster: ClusterState
) -> Layout:
    """The layout of a job, with no more replicas than fragments.

    With `model.replicas = "auto"` there are as many replicas as there is room for now. A number is as configured,
    but no more than the empty cluster would hold, unless it may grow. At least one replica waits for room.

    Raises ConfigError if not even the empty cluster holds one replica and a task that reads for it.
    """
    is_auto = model.replicas == "auto"
    num_wanted = num_fragments if model.replicas == "auto" else min(model.replicas, num_fragments)
    resources = rank_resources(model, device, cores_per_node, num_replicas=1 if is_auto else num_wanted)
    size = model.tensor_parallel_size
    group = resources.of_group(size)

    def assigned(num_replicas: int, resources_of: Callable[[Node], Resources]) -> list[str]:
        amounts = {node.node_id: resources_of(node) for node in cluster.nodes}
        return assign(amounts, group, num_replicas, model.placement, fills_nodes=not is_auto)

    num_possible = len(assigned(num_wanted, lambda node: node.total))
    if not cluster.has_autoscaler:
        if not num_possible:
            raise ConfigError(_why_it_never_fits(cluster, group, resources, size))
        num_wanted = min(num_wanted, num_possible)
    now = assigned(num_wanted, lambda node: node.free)
    num_replicas = max(1, len(now)) if is_auto else num_wanted
    return Layout(resources, size, (*now, *[None] * (num_replicas - len(now))), num_possible)


def assign(
    amounts: Mapping[str, Resources],
    group: Resources,
    num_replicas: int,
    placement: Placement,
    *,
    fills_nodes: bool = False,
) -> list[str]:
    """The nodes of up to `num_replicas` shard groups, where nodes have so much of each resource.

    "spread" takes the node with the fewest groups, and of these the one with most room; "pack" the node with the
    least room left. On each node a CPU is left for tasks. Where that leaves room for no group, or not for all and
    `fills_nodes`, nodes are filled as long as any node has a CPU for a task.
    """
    left = {node: dict(resources) for node, resources in amounts.items()}
    nodes: list[str] = []
    for num_free_cpus in (TASK_CPUS, 0):
        if nodes and num_free_cpus == 0 and not fills_nodes:
            break
        while len(nodes) < num_replicas:
            room = {node: _num_fitting(has, group, num_free_cpus) for node, has in left.items()}
            node = _choose(room, Counter(nodes), placement)
            if node is None or not _leaves_a_task(left, node, group):
                break
            left[node] = {name: has - group.get(name, 0) for name, has in left[node].items()}
            nodes.append(node)
    return nodes


def _choose(room: Mapping[str, int], num_groups: Mapping[str, int], placement: Placement) -> str | None:
    """The node for the next group; of equal ones the first."""
    fitting = [node for node, count in room.items() if count]
    if placement == "pack":
        return min(fitting, key=lambda node: room[node], default=None)
    return min(fitting, key=lambda node: (num_groups[node], -room[node]), default=None)


def _num_fitting(has: Mapping[str, float], group: Resources, num_free_cpus: float) -> int:
    """How many groups fit into the resources of a node, if so many CPUs are left."""
    kept = {"CPU": num_free_cpus}
    # Amounts are fractions of a CPU, which add up with errors.
    return max(
        0, min(int((has.get(name, 0) - kept.get(name, 0) + 1e-6) / amount) for name, amount in group.items())
    )


def _leaves_a_task(left: Mapping[str, Mapping[str, float]], node: str, group: Resources) -> bool:
    """Whether a task still fits somewhere once the group is on the node."""
    rest = {name: has.get("CPU", 0) - (group["CPU"] if name == node else 0) for name, has in left.items()}
    return max(rest.values()) >= TASK_CPUS - 1e-6


def _why_it_never_fits(cluster: ClusterState, group: Resources, resources: RankResources, size: int) -> str:
    holding = [node for node in cluster.nodes if _num_fitting(node.total, group, 0)]
    ranks = f"a shard group of {size} {'rank' if size == 1 else 'ranks'} with {show(resources.bundle)} each"
    if not holding:
        sizes = Counter(show(node.total) for node in cluster.nodes)
        found = ", ".join(f"{count} of {what}" for what, count in sorted(sizes.items()))
        return (
            f"model.tensor_parallel_size, model.cpus_per_rank: no node holds {ranks}, also when it is empty "
            f"(nodes: {found}); lower them, or add larger nodes"
        )
    return (
        f"model.cpus_per_rank: {ranks} takes all CPUs of the cluster (the nodes that hold it have "
        f"{', '.join(show(node.total) for node in holding)}), expected {TASK_CPUS} to be left on any node to read "
        "and tokenize; lower it, or add a node"
    )


def describe_fewer_replicas(
    model: ModelSection, layout: Layout, num_fragments: int, cluster: ClusterState
) -> str | None:
    """A message for the user if there are fewer replicas than configured, or fewer than would be possible."""
    used = layout.num_replicas
    if model.replicas == "auto":
        if used >= layout.num_possible:
            return None
        return (
            f"model.replicas: {used} used, of {layout.num_possible} that the empty cluster would hold; "
            f"{describe_free(cluster)}"
        )
    if model.replicas <= used:
        return None
    reason = "as many as there are fragments" if used == num_fragments else "as many as the cluster holds"
    return f"model.replicas: {model.replicas} asked for, {used} used, {reason}"


def describe_layout(layout: Layout, nodes: Sequence[Node]) -> list[str]:
    """A line for each node with shard groups, and one for those that wait for room."""
    counts = Counter(layout.nodes)
    lines = [
        f"{describe_groups(counts[node.node_id])} on {node.address} (free {show(node.free)} of {show(node.total)})"
        for node in nodes
        if counts[node.node_id]
    ]
    waiting = f"{describe_groups(counts[None])} of {show(layout.group)} would wait for room"
    return lines + ([waiting] if counts[None] else [])


def describe_groups(count: int) -> str:
    """A number of shard groups, for people."""
    return f"{count} {'group' if count == 1 else 'groups'}"

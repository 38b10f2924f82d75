"""What a cluster has: its nodes with what is free on them, who holds the rest, and what waits for resources.

Only CPUs and GPUs are looked at, since nothing else is asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Resources = Mapping[str, float]
RESOURCES = ("CPU", "GPU")
# What Ray calls the types of nodes that were started by hand.
_BY_HAND = "node_"
_SMALLEST = 1e-3


@dataclass(frozen=True)
class Node:
    """A living node: its id, its address for people, and its resources."""

    node_id: str
    address: str
    total: Resources
    free: Resources


@dataclass(frozen=True)
class ClusterState:
    """The cluster at one moment.

    Attributes:
        held: the resources that are not free, by the job that holds them.
        num_waiting: how many tasks and actors wait for resources, by what each of them needs.
        num_waiting_groups: how many placement groups of this job wait for a node, by what each of them needs.
        has_autoscaler: nodes may be added to it.
    """

    nodes: tuple[Node, ...]
    held: Mapping[str, Resources] = field(default_factory=dict)
    num_waiting: Mapping[str, int] = field(default_factory=dict)
    num_waiting_groups: Mapping[str, int] = field(default_factory=dict)
    has_autoscaler: bool = False

    def total(self, name: str) -> float:
        """The amount of a resource on all nodes."""
        return sum(node.total.get(name, 0) for node in self.nodes)


def show(resources: Resources) -> str:
    """Resources for people: `{CPU: 2, GPU: 1}`."""
    return f"{{{', '.join(f'{name}: {amount:g}' for name, amount in resources.items())}}}"


def added(parts: Iterable[Resources]) -> dict[str, float]:
    """The sum of resources."""
    sums: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            sums[name] = sums.get(name, 0) + amount
    return sums


def describe_free(state: ClusterState) -> str:
    """What is free, who holds the rest, and whether nodes may be added; for messages."""
    names = [name for name in RESOURCES if state.total(name)]
    free = {name: [node.free.get(name, 0) for node in state.nodes] for name in names}
    parts = [f"free {show({name: sum(amounts) for name, amounts in free.items()})}"]
    if len(state.nodes) > 1:
        parts[0] += f", on one node at most {show({name: max(amounts) for name, amounts in free.items()})}"
    if state.held:
        parts.append("held by " + ", ".join(f"{who}: {show(what)}" for who, what in state.held.items()))
    if state.has_autoscaler:
        parts.append("the autoscaler may add nodes")
    return "; ".join(parts)


def describe_waiting(state: ClusterState) -> str:
    """What waits for resources, what is free and who holds the rest; for a run that stands still."""
    waiting = [f"{count} x shard group {what}" for what, count in state.num_waiting_groups.items()]
    waiting += [f"{count} x task or actor {what}" for what, count in state.num_waiting.items()]
    if not waiting:
        return f"nothing waits for resources ({describe_free(state)}), so a process hangs"
    return f"waits for room: pending {', '.join(waiting)}; {describe_free(state)}"


def holders(
    used: Resources, by_job: Mapping[str, Iterable[Resources]], names: Mapping[str, str]
) -> dict[str, Resources]:
    """Who holds what is used: each job, by its name, in reservations and actors; tasks, the rest."""
    sums = {names.get(job, f"job {job}"): added(parts) for job, parts in by_job.items()}
    known = added(sums.values())
    rest = {name: round(amount - known.get(name, 0), 3) for name, amount in used.items()}
    held = sums | {"tasks": {name: amount for name, amount in rest.items() if amount > _SMALLEST}}
    return {who: what for who, what in held.items() if any(what.values())}


def names_node_types(status: Mapping[str, Mapping[str, Mapping[str, int]]]) -> bool:
    """Whether Ray's report of its first autoscaler names types of nodes; without one each node is its own type."""
    types = status.get("autoscaler_report", {}).get("active_nodes", {})
    return any(not name.startswith(_BY_HAND) for name in types)

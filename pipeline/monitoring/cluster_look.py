"""Look at the connected cluster: ask its control service (GCS) for nodes, placement groups, actors and jobs.

Ray's public functions need the dashboard for this, which a cluster may not have.
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.state import state as global_state
from ray._private.worker import global_worker
from ray.core.generated import autoscaler_pb2, gcs_pb2

from pipeline.monitoring.cluster_state import (
    RESOURCES,
    ClusterState,
    Node,
    Resources,
    added,
    describe_waiting,
    holders,
    names_node_types,
    show,
)
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

# Generated modules, whose names are not known to type checkers.
_autoscaler: Any = autoscaler_pb2
_gcs: Any = gcs_pb2
_MAX_COMMAND = 80


def look_at_cluster() -> ClusterState:
    """The state of the connected cluster."""
    cluster = _resource_state()
    nodes = tuple(
        Node(
            node.node_id.hex(),
            node.node_ip_address,
            _amounts(node.total_resources),
            _amounts(node.available_resources),
        )
        # In an order that stays.
        for node in sorted(cluster.node_states, key=lambda node: (node.node_ip_address, node.node_id))
        if node.status != _autoscaler.NodeStatus.DEAD
    )
    groups = _table(_gcs.PlacementGroupTableData, _accessor().get_placement_group_table())
    own = ray.get_runtime_context().get_job_id()
    requests: Counter[str] = Counter()
    for pending in cluster.pending_resource_requests:
        requests[show(_amounts(pending.request.resources_bundle))] += pending.count
    return ClusterState(
        nodes,
        _held(nodes, groups, own),
        dict(requests),
        dict(Counter(show(_of_group(g)) for g in groups if _waits(g) and g.creator_job_id.hex() == own)),
        has_autoscaler=_has_autoscaler(cluster),
    )


def explain_waiting() -> str:
    """What the run waits for, as of now; for a run that stands still."""
    return describe_waiting(look_at_cluster())


def _held(nodes: Iterable[Node], groups: Iterable[Any], own: str) -> dict[str, Resources]:
    used = added({name: amount - node.free.get(name, 0) for name, amount in node.total.items()} for node in nodes)
    by_job: dict[str, list[Resources]] = {}
    for group in groups:
        if group.state == _gcs.PlacementGroupTableData.CREATED:
            by_job.setdefault(group.creator_job_id.hex(), []).append(_of_group(group))
    for actor in _table(_gcs.ActorTableData, _accessor().get_actor_table(None, "ALIVE")):
        if not actor.placement_group_id:
            by_job.setdefault(actor.job_id.hex(), []).append(_amounts(actor.required_resources))
    names = {
        job["JobID"]: f"job {job['JobID']} ({_shortened(job['Entrypoint'])} on {job['DriverIPAddress']})"
        for job in global_state.job_table()
    }
    return holders(used, by_job, names | {own: "this run"})


def _shortened(command: str) -> str:
    shown = printable(without_secret(command))
    return shown if len(shown) <= _MAX_COMMAND else f"{shown[:_MAX_COMMAND]}…"


def _amounts(resources: Resources) -> Resources:
    return {name: resources[name] for name in RESOURCES if name in resources}


def _of_group(group: Any) -> Resources:
    return added(_amounts(bundle.unit_resources) for bundle in group.bundles)


def _waits(group: Any) -> bool:
    return group.state not in (_gcs.PlacementGroupTableData.CREATED, _gcs.PlacementGroupTableData.REMOVED)


def _resource_state() -> Any:
    reply = _autoscaler.GetClusterResourceStateReply()
    reply.ParseFromString(_gcs_client().get_cluster_resource_state())
    return reply.cluster_resource_state


def _has_autoscaler(cluster: Any) -> bool:
    """Whether something may add nodes: it has named the types of nodes, or has reported what it may add."""
    if any(node.ray_node_type_name for node in cluster.node_states) or global_state.get_cluster_config():
        return True
    status = _gcs_client().internal_kv_get(ray_constants.DEBUG_AUTOSCALING_STATUS.encode(), None)
    return status is not None and names_node_types(json.loads(status))


def _table(row_class: Any, rows: Iterable[bytes]) -> list[Any]:
    return [row_class.FromString(row) for row in rows]


def _accessor() -> Any:
    return global_state._connect_and_get_accessor()


def _gcs_client() -> Any:
    worker: Any = global_worker
    return worker.gcs_client

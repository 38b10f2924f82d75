"""A Ray cluster of several nodes for tests, in a process of its own: `python -m` with this module's name, CPUS….

The arguments are the CPUs of the nodes, the head first. Replies (JSON behind `REPLY`) with its address, then to
each line of its input:

- "groups": the states of placement groups that are not removed
- "nodes": how many of them, and how many leaders, are on each node
- "kill shard": kills a worker node that holds a shard group, "kill other" one that holds none
- "add CPUS": adds a node
- "hold CPUS NODE": another tenant takes CPUs of a node, by its place among the living ones; "release" gives them
  back

Ends with its input, and the cluster with it.
"""

import json
import logging
import sys
from typing import Any

import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.util import placement_group_table
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

REPLY = "reply: "


def main() -> None:
    """Hold the cluster until the input ends."""
    head, *workers = (float(number) for number in sys.argv[1:])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": head, "include_dashboard": False})
    nodes = [cluster.head_node, *(cluster.add_node(num_cpus=cpus, include_dashboard=False) for cpus in workers)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    tenants: list[Any] = []
    reply(cluster.address)
    for line in sys.stdin:
        match line.split():
            case ["groups"]:
                reply([group["state"] for group in groups()])
            case ["nodes"]:
                holding = [node_id for group in groups() for node_id in set(group["bundles_to_node_id"].values())]
                leading = [actor["Address"]["NodeID"] for actor in leaders()]
                reply([[holding.count(node.node_id), leading.count(node.node_id)] for node in nodes])
            case ["kill", which]:
                held = {node_id for group in groups() for node_id in group["bundles_to_node_id"].values()}
                node = next(n for n in nodes[1:] if (n.node_id in held) == (which == "shard"))
                nodes.remove(node)
                cluster.remove_node(node, allow_graceful=False)
                reply(len(nodes))
            case ["add", cpus]:
                nodes.append(cluster.add_node(num_cpus=float(cpus), include_dashboard=False))
                reply(len(nodes))
            case ["hold", cpus, index]:
                strategy = NodeAffinitySchedulingStrategy(nodes[int(index)].node_id, soft=False)
                tenant = Tenant.options(num_cpus=float(cpus), scheduling_strategy=strategy).remote()
                ray.get(tenant.is_there.remote())
                tenants.append(tenant)
                reply(cpus)
            case ["release"]:
                for tenant in tenants:
                    ray.kill(tenant)
                tenants.clear()
                reply("released")
    ray.shutdown()
    cluster.shutdown()


@ray.remote
class Tenant:
    """Somebody else on the cluster."""

    def is_there(self) -> bool:
        """Once it has been started."""
        return True


def reply(value: object) -> None:
    """Answer with a line that stands out from those that Ray writes."""
    print(f"\n{REPLY}{json.dumps(value)}", flush=True)


def groups() -> list[dict[str, Any]]:
    """Placement groups that are not removed."""
    return [group for group in placement_group_table().values() if group["state"] != "REMOVED"]


def leaders() -> list[dict[str, Any]]:
    """Living actors that lead a replica."""
    found = actors(actor_state_name="ALIVE").values()
    return [actor for actor in found if actor["ActorClassName"].startswith("MapWorker")]


if __name__ == "__main__":
    main()

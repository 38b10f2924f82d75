"""A Ray cluster of several nodes for tests, in a process of its own: `python -m` with this module's name.

Replies (JSON behind `REPLY`) with its address. Then answers lines of its input: "groups" with the states of
placement groups that are not removed; "kill shard" kills the node that holds the first shard group, "kill other" a
worker node that holds none; both answer with the number of nodes that are left. Ends with its input, and the
cluster with it.
"""

import json
import logging
import sys
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

NUM_WORKERS = 2
REPLY = "reply: "
# The head has no room for two ranks, and a worker has.
HEAD_CPUS, WORKER_CPUS = 1, 3


def main() -> None:
    """Hold the cluster until the input ends."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": HEAD_CPUS, "include_dashboard": False})
    workers = [cluster.add_node(num_cpus=WORKER_CPUS, include_dashboard=False) for _ in range(NUM_WORKERS)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    reply(cluster.address)
    for line in sys.stdin:
        match line.split():
            case ["groups"]:
                reply([group["state"] for group in groups()])
            case ["kill", which]:
                holding = {node_id for group in groups() for node_id in group["bundles_to_node_id"].values()}
                node = next(n for n in workers if (n.node_id in holding) == (which == "shard"))
                workers.remove(node)
                cluster.remove_node(node, allow_graceful=False)
                reply(len(workers) + 1)
    ray.shutdown()
    cluster.shutdown()


def reply(value: object) -> None:
    """Answer with a line that stands out from those that Ray writes."""
    print(f"\n{REPLY}{json.dumps(value)}", flush=True)


def groups() -> list[dict[str, Any]]:
    """Placement groups that are not removed."""
    return [group for group in placement_group_table().values() if group["state"] != "REMOVED"]


if __name__ == "__main__":
    main()

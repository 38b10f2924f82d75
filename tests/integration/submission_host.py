"""A Ray cluster that takes jobs, in a process of its own: `python -m tests.integration.submission_host`.

Prints the address of its dashboard; ends with its input, and the cluster with it.
"""

import sys

from ray.cluster_utils import Cluster

NUM_CPUS = 4


def main() -> None:
    """Hold the cluster until the input ends."""
    # The agent starts jobs; where another cluster's has its usual port, there would be none.
    options = {"num_cpus": NUM_CPUS, "include_dashboard": True, "dashboard_agent_listen_port": 0}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    cluster.wait_for_nodes()
    print(f"\n{cluster.head_node.webui_url}", flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()

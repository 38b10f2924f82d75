"""A Ray cluster for tests, in a process of its own: `python -m tests.integration.cluster_host NUM_CPUS [PORT]`.

With PORT it exports metrics there every second. Prints its address; then answers each line of its input with what
is left on the cluster, as JSON; ends with its input, and the cluster with it.
"""

import json
import logging
import sys

import ray
from ray.util import placement_group_table


def main() -> None:
    """Hold the cluster until the input ends."""
    metrics = {}
    if len(sys.argv) > 2:
        metrics = {
            "_metrics_export_port": int(sys.argv[2]),
            "_system_config": {"metrics_report_interval_ms": 1000},
        }
    ray.init(
        address="local",
        num_cpus=int(sys.argv[1]),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **metrics,
    )
    print(ray.get_runtime_context().gcs_address, flush=True)
    for _ in sys.stdin:
        table = placement_group_table().values()
        groups = [group["state"] for group in table if group["state"] != "REMOVED"]
        free = ray.available_resources().get("CPU", 0)
        print(json.dumps({"groups": groups, "free_cpus": free}), flush=True)


if __name__ == "__main__":
    main()

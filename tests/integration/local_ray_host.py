"""Ray as a run on this machine starts it: prints as JSON where it listens, and who may read its files."""

import json
import os

import ray

from pipeline.driver.ray_connection import ray_cluster
from tests.integration.listeners import listening_addresses


@ray.remote
def _node() -> str:
    address: str = ray.util.get_node_ip_address()
    return address


def main() -> None:
    """Start it, use it, and end it."""
    home = os.path.expanduser("~")
    with ray_cluster("local"):
        node = ray.get(_node.remote())
        session = ray._private.worker.global_worker.node.get_session_dir_path()
        paths = {"session": session, "folder": f"{home}/.ray", "token": f"{home}/.ray/auth_token"}
        modes = {name: oct(os.stat(path).st_mode & 0o777) for name, path in paths.items()}
        print(json.dumps({"node": node, "listens": sorted(listening_addresses(os.getpid())), "modes": modes}))


if __name__ == "__main__":
    main()

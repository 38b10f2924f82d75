"""Check the address of the Ray cluster that a job joins, that one answers there, and that it asks for a token.

Ray is imported where a cluster is looked for, as a run on this machine is checked without it.
"""

import os
import re
import resource
import time
from typing import Any

from pipeline.errors import ConfigError

LOCAL = "local"
# With fewer, processes of Ray have crashed during a run.
MIN_OPEN_FILES = 1024
PROBE_TIMEOUT_S = 5.0
_PROBE_INTERVAL_S = 0.5
_FIELD = "--address (or RAY_ADDRESS)"
_EXPECTED = 'expected "local", "auto", or HOST:PORT of the head of a Ray cluster, for example 10.0.0.1:6379'


def reachable_cluster(address: str, timeout_s: float = PROBE_TIMEOUT_S) -> str:
    """Resolve "local", "auto" (the cluster on this machine) or HOST:PORT to "local" or HOST:PORT.

    Raises ConfigError if the address is invalid, no cluster answers within `timeout_s` (`ray.init` would try for a
    quarter of an hour), or this machine allows too few open files for Ray.
    """
    if address == LOCAL:
        _require_open_files()
        return address
    found = _running_here() if address == "auto" else address
    _require_host_and_port(found)
    problem = _probe(found, timeout_s)
    if problem:
        raise ConfigError(
            f"{_FIELD}: found {address!r}, where no Ray cluster answers within {timeout_s:.0f} s ({problem}); "
            'expected the address that `ray start` printed on the head, or "local" to run on this machine'
        )
    return found


def describe_open_cluster(address: str, timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
    """A warning if whoever reaches the cluster at an address can use it, without a token or a certificate."""
    if address == LOCAL or os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return None
    import grpc  # noqa: PLC0415

    with grpc.insecure_channel(address) as channel:
        try:
            _ask_whether_alive(channel, timeout_s)
        except grpc.RpcError:
            return None
    return (
        f"warning: the Ray cluster at {address} asks for no token: whoever reaches its ports can run code on it "
        "and read what jobs read; start it with RAY_AUTH_MODE=token (see jobs/deploy/SECURITY.md)"
    )


def _require_open_files() -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < MIN_OPEN_FILES:
        raise ConfigError(
            f"ulimit -n: found a hard limit of {limit} open files, expected at least {MIN_OPEN_FILES} for Ray on "
            "this machine; raise it (for example to 8192), or join a cluster with --address"
        )


def _running_here() -> str:
    from ray._private import services  # noqa: PLC0415

    try:
        address: str | None = services.canonicalize_bootstrap_address("auto")
    except ConnectionError:
        address = None
    if address is None:
        raise ConfigError(
            f"{_FIELD}: found 'auto', and no Ray cluster runs on this machine; start one with `ray start --head`, "
            'name HOST:PORT of another one, or use "local"'
        )
    return address


def _require_host_and_port(address: str) -> None:
    if address.startswith("ray://"):
        raise ConfigError(
            f"{_FIELD}: found {address!r}, an address of Ray Client, which is not supported; use "
            "`ray job submit` for a remote cluster, or HOST:PORT on one of its nodes"
        )
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"{_FIELD}: found {address!r}, the dashboard's address; submit the job to it with "
            f"`ray job submit --address {address} -- python -m jobs.annotate …`, or name HOST:PORT of the head"
        )
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", host) or not (
        port.isascii() and port.isdecimal() and 0 < int(port) < 2**16
    ):
        raise ConfigError(f"{_FIELD}: found {address!r}, {_EXPECTED}")


def _probe(address: str, timeout_s: float) -> str | None:
    """Ask the cluster's control service (GCS) whether it is alive; returns what went wrong, or None.

    Connections are retried until the timeout, as a head that is starting refuses them.
    """
    import grpc  # noqa: PLC0415
    from ray._private.grpc_utils import init_grpc_channel  # noqa: PLC0415

    deadline = time.monotonic() + timeout_s
    with init_grpc_channel(address) as channel:
        while True:
            try:
                _ask_whether_alive(channel, timeout_s=max(0.1, deadline - time.monotonic()))
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return "it refuses the authentication token; see RAY_AUTH_TOKEN and ~/.ray/auth_token"
                is_over = time.monotonic() + _PROBE_INTERVAL_S > deadline
                if error.code() != grpc.StatusCode.UNAVAILABLE or is_over:
                    return str(error.details()).rpartition("last error: ")[2]
                time.sleep(_PROBE_INTERVAL_S)
            else:
                return None


def _ask_whether_alive(channel: Any, timeout_s: float) -> None:
    """Raises grpc.RpcError."""
    from ray.core.generated.gcs_service_pb2 import CheckAliveRequest  # type: ignore[attr-defined]  # noqa: PLC0415
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub  # noqa: PLC0415

    NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=timeout_s)

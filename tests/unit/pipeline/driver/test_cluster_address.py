import resource
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from ray._private import services
from ray.core.generated.gcs_service_pb2 import CheckAliveReply  # type: ignore[attr-defined]
from ray.core.generated.gcs_service_pb2_grpc import (
    NodeInfoGcsServiceServicer,
    add_NodeInfoGcsServiceServicer_to_server,
)

from pipeline.driver.cluster_address import MIN_OPEN_FILES, describe_open_cluster, reachable_cluster
from pipeline.errors import ConfigError


class Alive(NodeInfoGcsServiceServicer):  # type: ignore[misc]
    def CheckAlive(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: N802  # Ray's name
        return CheckAliveReply()


class Closed(NodeInfoGcsServiceServicer):  # type: ignore[misc]
    def CheckAlive(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: N802
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        raise AssertionError


@contextmanager
def served(service: NodeInfoGcsServiceServicer, port: int = 0) -> Iterator[str]:
    """What a cluster's control service answers to a probe, on a free port."""
    server = grpc.server(ThreadPoolExecutor(1))
    add_NodeInfoGcsServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def silent() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_cluster_that_answers_is_taken() -> None:
    with served(Alive()) as address:
        assert reachable_cluster(address) == address
    assert reachable_cluster("local") == "local"


def test_a_cluster_that_is_just_starting_is_waited_for() -> None:
    port = free_port()

    def serve_later() -> None:
        time.sleep(1.0)
        with served(Alive(), port):
            answered.wait(20.0)

    answered = threading.Event()
    thread = threading.Thread(target=serve_later)
    thread.start()
    try:
        assert reachable_cluster(f"127.0.0.1:{port}", timeout_s=20.0) == f"127.0.0.1:{port}"
    finally:
        answered.set()
        thread.join()


@pytest.mark.parametrize(
    "address",
    ["nonsense", "host:port", "host:0", "host:65536", ":6379", "10.0.0.1", "a b:1", "host:1:2", "host:-1", ""],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(
        ConfigError, match=r'^--address \(or RAY_ADDRESS\): found .*, expected "local", "auto", or HOST:P'
    ):
        reachable_cluster(address)


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("ray://10.0.0.1:10001", "an address of Ray Client, which is not supported; use `ray job submit`"),
        (
            "http://10.0.0.1:8265",
            "the dashboard's address; submit the job to it with `ray job submit --address http:",
        ),
    ],
)
def test_other_addresses_of_a_cluster_are_told_apart(address: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        reachable_cluster(address)
    assert f"found '{address}', {remedy}" in str(refused.value)


@pytest.mark.parametrize("kind", ["refused", "silent", "unknown host"])
def test_nobody_who_answers_is_found_out_in_time(kind: str) -> None:
    started = time.monotonic()
    with silent() as silent_address:
        address = {
            "refused": f"127.0.0.1:{free_port()}",
            "silent": silent_address,
            "unknown host": "no.such.host.invalid:6379",
        }[kind]
        with pytest.raises(ConfigError, match=r"no Ray cluster answers within 2 s \(.+\); expected the address"):
            reachable_cluster(address, timeout_s=2.0)
    # The limit is 2 s; the rest is for a busy machine.
    assert time.monotonic() - started < 20.0


def test_a_cluster_that_refuses_the_token_is_not_tried_again() -> None:
    with served(Closed()) as address, pytest.raises(ConfigError, match="it refuses the authentication token"):
        reachable_cluster(address, timeout_s=60.0)


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def canonicalize(address: str) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", canonicalize)
    with pytest.raises(
        ConfigError, match=r"found 'auto', and no Ray cluster runs on this machine; start one with"
    ):
        reachable_cluster("auto")


def test_the_cluster_on_this_machine_is_probed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray remembers the address of a cluster that has crashed."""
    crashed = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda address: crashed)
    with pytest.raises(ConfigError, match="no Ray cluster answers within 1 s"):
        reachable_cluster("auto", timeout_s=1.0)


@pytest.mark.parametrize("limit", [64, MIN_OPEN_FILES - 1])
def test_too_few_open_files_are_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    with pytest.raises(
        ConfigError, match=rf"^ulimit -n: found a hard limit of {limit} open files, expected at least"
    ):
        reachable_cluster("local")


def test_a_cluster_that_asks_for_no_token_is_joined_with_a_warning() -> None:
    with served(Alive()) as address:
        warning = describe_open_cluster(address)
    assert warning is not None
    assert warning.startswith(f"warning: the Ray cluster at {address} asks for no token: ")


def test_a_cluster_that_asks_for_one_is_joined_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Closed()) as address:
        assert describe_open_cluster(address) is None
    assert describe_open_cluster("local") is None
    with served(Alive()) as address:
        # Its clients need a certificate.
        monkeypatch.setenv("RAY_USE_TLS", "1")
        assert describe_open_cluster(address) is None

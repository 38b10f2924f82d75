"""Typed helpers to start and find Ray actors, and to get their results."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import ray
from ray._private.worker import global_worker
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_get: Callable[..., Any] = ray.get
_remote: Callable[..., Any] = ray.remote


def start_actor(actor_class: type, *args: object, **options: object) -> ActorHandle[Any]:
    """Start an actor of `actor_class(*args)` with one or more of Ray's options (num_cpus, …)."""
    # The method `options` of a remote class takes no concurrency groups.
    return cast(ActorHandle[Any], _remote(**options)(actor_class).remote(*args))


def start_actor_here(actor_class: type, *args: object, name: str) -> ActorHandle[Any]:
    """Start an actor without CPUs on the caller's node, so that it survives the loss of other nodes."""
    node_id = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return start_actor(actor_class, *args, name=name, num_cpus=0, scheduling_strategy=strategy)


def unique_name(actor_class: type) -> str:
    """A unique name for an actor."""
    return f"{actor_class.__name__}-{uuid4().hex}"


def find_actor(name: str) -> ActorHandle[Any]:
    """The actor with a name. Raises ValueError if there is none."""
    return ray.get_actor(name)


def skip_exit_handlers() -> None:
    """Exit via os._exit, skipping native exit handlers, which can hang under Ray.

    Ray's library has hung in its exit handler after it had left the cluster, and left the process running forever.
    """
    atexit.register(_leave)


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def node_address() -> str:
    """The address of this process's node."""
    address: str = ray.util.get_node_ip_address()
    return address


def is_retry() -> bool:
    """Whether Ray has retried the current task: its process died, or its result was lost."""
    attempt: int = global_worker.core_worker.get_current_task_attempt_number()  # type: ignore[attr-defined]
    return attempt > 0


def get_result(ref: object, *, timeout_s: float | None = None) -> Any:
    """The result of a remote call; raises its error, or ray.exceptions.GetTimeoutError."""
    return _get(ref, timeout=timeout_s)

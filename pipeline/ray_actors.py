"""Starting actors and asking them, with the types that Ray's own signatures lose for classes of ours."""

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
    """An actor of `actor_class(*args)`; `options` are those of Ray (num_cpus, …), one or more."""
    # The method `options` of a remote class takes no concurrency groups.
    return cast(ActorHandle[Any], _remote(**options)(actor_class).remote(*args))


def start_actor_here(actor_class: type, *args: object, name: str) -> ActorHandle[Any]:
    """An actor without CPUs on the node of the caller, so that the loss of another node does not take it."""
    node_id = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return start_actor(actor_class, *args, name=name, num_cpus=0, scheduling_strategy=strategy)


def unique_name(actor_class: type) -> str:
    """A name that no other actor of this driver has, not even one that is being killed."""
    return f"{actor_class.__name__}-{uuid4().hex}"


def find_actor(name: str) -> ActorHandle[Any]:
    """The living actor of this driver with that name; raises ValueError if there is none."""
    return ray.get_actor(name)


def skip_exit_handlers() -> None:
    """From now on this process ends when its interpreter would, and nothing that C libraries do at exit is run.

    In a worker whose actor is gone, what Ray's own library does there has hung, after it had said good-bye to the
    cluster: nobody would ever have ended that process.
    """
    atexit.register(_leave)


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def is_retry() -> bool:
    """Whether Ray runs the present task again: its process died, or what it had made was lost."""
    attempt: int = global_worker.core_worker.get_current_task_attempt_number()  # type: ignore[attr-defined]
    return attempt > 0


def get_result(ref: object, *, timeout_s: float | None = None) -> Any:
    """What a call returned; raises what it raised, or ray.exceptions.GetTimeoutError."""
    return _get(ref, timeout=timeout_s)

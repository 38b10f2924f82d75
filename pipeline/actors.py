"""Starting actors and asking them, with the types that Ray's own signatures lose for classes of ours."""

from collections.abc import Callable
from typing import Any, cast

import ray
from ray.actor import ActorHandle

_get: Callable[..., Any] = ray.get


def start_actor(actor_class: type, *args: object, **options: object) -> ActorHandle[Any]:
    """An actor of `actor_class(*args)`; `options` are those of Ray (num_cpus, scheduling_strategy, …)."""
    return cast(ActorHandle[Any], ray.remote(actor_class).options(**options).remote(*args))


def answer(ref: object, *, timeout_s: float | None = None) -> Any:
    """What a call returned; raises what it raised, or ray.exceptions.GetTimeoutError."""
    return _get(ref, timeout=timeout_s)

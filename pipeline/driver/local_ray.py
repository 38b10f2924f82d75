"""Start Ray on this machine for this process alone, without what serves a dashboard, an autoscaler or other nodes.

Ray starts a dashboard (also without its pages), an autoscaler and a reader of logs for every cluster, and Ray Data
three actors for each. Starting them takes longer than a small job, and nobody reads what they gather. No option
leaves them out, so functions of Ray are replaced while it runs here; its version is pinned for such reasons.

Its servers listen on the address of their node. Ray takes no loopback address for one, since other nodes could not
reach it; here there are none, and nobody else is to reach it.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import services, utils
from ray._private.node import Node
from ray.data._internal.cluster_autoscaler import ClusterAutoscaler
from ray.data._internal.execution import streaming_executor
from ray.data._internal.execution.interfaces import ExecutionResources
from ray.data._internal.execution.operators import actor_pool_map_operator
from ray.data._internal.stats import _StatsManager

from pipeline.replica.placement import CPU_RANK_ENVIRONMENT

LOOPBACK = "127.0.0.1"


class _OwnSession(services.ConsolePopen):
    """A server of Ray that gets no signal sent to the group of this process, such as by `timeout`.

    Otherwise it would be gone while the run shuts down, which then waits for it. It ends with this process, where
    the kernel can see to that; elsewhere Ray ends the whole group.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, start_new_session=utils.detect_fate_sharing_support())


class _FixedCluster(ClusterAutoscaler):
    """A cluster that does not grow, in place of an actor that asks an autoscaler for more nodes."""

    def __init__(self, *_: object, **__: object) -> None:
        self._total = ExecutionResources.from_resource_dict(ray.cluster_resources())

    def try_trigger_scaling(self) -> None:
        """There is nothing to scale."""

    def on_executor_shutdown(self) -> None:
        """There is no request to cancel."""

    def get_total_resources(self) -> ExecutionResources:
        """The resources of the machine."""
        return self._total


class _NoTracker:
    """In place of an actor that knows on which node each actor is: here they are all on one."""

    @property
    def update_actor_location(self) -> "_NoTracker":
        """As of the actor."""
        return self

    def remote(self, *_: object) -> None:
        """Do nothing."""


@contextmanager
def fewer_processes() -> Iterator[None]:
    """Within the block Ray starts without them; its workers have the environment that ranks on a CPU need."""

    def nothing(*_: object, **__: object) -> None:
        pass

    def no_dashboard(node: Any, **_: object) -> None:
        node._webui_url = None

    with ExitStack() as stack:
        for owner, name, value in (
            (Node, "start_api_server", no_dashboard),
            (Node, "start_monitor", nothing),
            (Node, "start_log_monitor", nothing),
            (services, "ConsolePopen", _OwnSession),
            # Otherwise a loopback address is replaced by one that other machines can reach.
            (services, "resolve_ip_for_localhost", lambda host: host),
            # Otherwise all packages of the dashboard are imported, to see whether they are installed.
            (utils, "get_dashboard_dependency_error", lambda: ImportError("the dashboard is not started")),
            (streaming_executor, "create_cluster_autoscaler", _FixedCluster),
            (actor_pool_map_operator, "get_or_create_actor_location_tracker", _NoTracker),
            (actor_pool_map_operator, "get_actor_locations", lambda actor_ids: {}),
            (_StatsManager, "register_dataset_to_stats_actor", staticmethod(nothing)),
            (_StatsManager, "update_execution_metrics", staticmethod(nothing)),
        ):
            stack.enter_context(_replaced(owner, name, value))
        # Workers that have it already can be ranks, which are started anew elsewhere.
        for name, text in CPU_RANK_ENVIRONMENT.items():
            if name not in os.environ:
                os.environ[name] = text
                stack.callback(os.environ.pop, name, None)
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)

"""What Ray is started without, and that nothing of it stays."""

import os
import subprocess
import sys

import pytest
import ray
from ray._private import services
from ray._private.node import Node
from ray.data._internal.execution import streaming_executor
from ray.data._internal.execution.operators import actor_pool_map_operator
from ray.data._internal.stats import _StatsManager

from pipeline.driver.local_ray import fewer_processes
from pipeline.replica.placement import CPU_RANK_ENVIRONMENT, rank_environment

REPLACED = [
    (Node, "start_api_server"),
    (Node, "start_monitor"),
    (Node, "start_log_monitor"),
    (services, "ConsolePopen"),
    (streaming_executor, "create_cluster_autoscaler"),
    (actor_pool_map_operator, "get_or_create_actor_location_tracker"),
    (_StatsManager, "register_dataset_to_stats_actor"),
]


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CPU_RANK_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def test_functions_of_ray_are_replaced_within_the_block_only() -> None:
    before = [vars(owner)[name] for owner, name in REPLACED]
    with fewer_processes():
        assert all(vars(owner)[name] is not old for (owner, name), old in zip(REPLACED, before, strict=True))
    assert [vars(owner)[name] for owner, name in REPLACED] == before


def test_servers_get_no_signal_that_is_sent_to_the_group_of_the_run() -> None:
    with (
        fewer_processes(),
        services.ConsolePopen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server,
    ):
        assert os.getsid(server.pid) == server.pid
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)


def test_workers_have_the_environment_of_ranks_so_that_none_is_started_for_them() -> None:
    assert rank_environment("cpu") == {"env_vars": CPU_RANK_ENVIRONMENT}
    with fewer_processes():
        assert rank_environment("cpu") is None
    assert not CPU_RANK_ENVIRONMENT.keys() & os.environ.keys()
    assert rank_environment("cuda") is None


def test_a_setting_of_the_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    [name] = CPU_RANK_ENVIRONMENT
    monkeypatch.setenv(name, "0")
    with fewer_processes():
        assert os.environ[name] == "0"
    assert os.environ[name] == "0"


def test_the_cluster_has_the_resources_of_the_machine_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0, "GPU": 1.0, "memory": 10.0, "node:x": 1.0})
    with fewer_processes():
        scaler = streaming_executor.create_cluster_autoscaler(None, None, None, execution_id="x")
    total = scaler.get_total_resources()
    assert (total.cpu, total.gpu, total.memory) == (4.0, 1.0, 10.0)
    scaler.try_trigger_scaling()
    scaler.on_executor_shutdown()

from typing import Any

import pytest

from pipeline.monitoring.cluster_state import (
    ClusterState,
    Node,
    describe_free,
    describe_waiting,
    holders,
    names_node_types,
    show,
)

ONE = (Node("a", "10.0.0.1", {"CPU": 4}, {"CPU": 1}),)
TWO = (
    Node("a", "10.0.0.1", {"CPU": 4, "GPU": 1}, {"CPU": 0.5, "GPU": 1}),
    Node("b", "10.0.0.2", {"CPU": 4}, {"CPU": 2}),
)


def test_resources_are_shown_without_needless_digits() -> None:
    assert show({"CPU": 2.0, "GPU": 1}) == "{CPU: 2, GPU: 1}"
    assert show({"CPU": 0.5}) == "{CPU: 0.5}"
    assert show({}) == "{}"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (ClusterState(ONE), "free {CPU: 1}"),
        (ClusterState(TWO), "free {CPU: 2.5, GPU: 1}, on one node at most {CPU: 2, GPU: 1}"),
        (
            ClusterState(ONE, held={"job 01000000 (python x.py on 10.0.0.1)": {"CPU": 2}, "tasks": {"CPU": 1}}),
            "free {CPU: 1}; held by job 01000000 (python x.py on 10.0.0.1): {CPU: 2}, tasks: {CPU: 1}",
        ),
        (ClusterState((), has_autoscaler=True), "free {}; the autoscaler may add nodes"),
    ],
)
def test_what_is_free_is_told_with_who_holds_the_rest(state: ClusterState, said: str) -> None:
    assert describe_free(state) == said


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (
            {"num_waiting": {"{CPU: 1}": 3}},
            "waits for room: pending 3 x task or actor {CPU: 1}; free {CPU: 1}",
        ),
        (
            {"num_waiting": {"{CPU: 1}": 1}, "num_waiting_groups": {"{CPU: 4}": 2}},
            "waits for room: pending 2 x shard group {CPU: 4}, 1 x task or actor {CPU: 1}; free {CPU: 1}",
        ),
        ({}, "nothing waits for resources (free {CPU: 1}), so a process hangs"),
    ],
)
def test_a_run_that_stands_still_says_what_waits(waiting: dict[str, Any], said: str) -> None:
    assert describe_waiting(ClusterState(ONE, **waiting)) == said


@pytest.mark.parametrize(
    ("used", "by_job", "expected"),
    [
        ({"CPU": 3, "GPU": 0}, {"01": [{"CPU": 2}, {"CPU": 1}]}, {"this run": {"CPU": 3}}),
        (
            {"CPU": 3},
            {"01": [{"CPU": 1}], "02": [{"CPU": 1}]},
            {"this run": {"CPU": 1}, "job 02": {"CPU": 1}, "tasks": {"CPU": 1}},
        ),
        ({"CPU": 0.3}, {"01": [{"CPU": 0.1}] * 3, "02": [{}]}, {"this run": {"CPU": pytest.approx(0.3)}}),
        ({"CPU": 0}, {}, {}),
    ],
)
def test_what_is_used_is_held_by_jobs_and_by_tasks(
    used: dict[str, float], by_job: dict[str, list[dict[str, float]]], expected: dict[str, Any]
) -> None:
    assert holders(used, by_job, {"01": "this run"}) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, False),
        ({"autoscaler_report": {"active_nodes": {}}}, False),
        ({"autoscaler_report": {"active_nodes": {"node_5f3c": 1}}}, False),
        ({"autoscaler_report": {"active_nodes": {"ray.head.default": 1, "gpu": 0}}}, True),
    ],
)
def test_an_autoscaler_has_types_of_nodes(status: dict[str, Any], expected: bool) -> None:
    assert names_node_types(status) == expected

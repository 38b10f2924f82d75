"""What is recorded of counts; a stand-in for Ray's metrics keeps it."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from pipeline.errors import LeaseLostError
from pipeline.failures import FragmentFailure
from pipeline.monitoring import metric_names as names
from pipeline.monitoring import metrics
from pipeline.monitoring.group_counts import GroupCounts
from pipeline.monitoring.metrics import BatchSeconds, RunMetrics
from pipeline.monitoring.progress_counter import Counts, Size, Work
from pipeline.monitoring.tallies import Tally
from pipeline.row_errors import ErrorKind
from tests.unit.pipeline.stages.test_write import FRAGMENT

WORK = Work(Size(16, 1600), num_bytes=16_000, done_before=Size(384, 38_400), job=Size(400, 40_000))
Key = tuple[str, ...]


class Recorded:
    """As of ray.util.metrics: of counters the sum, of gauges the last value, by name and tags."""

    values: dict[str, dict[Key, float]]

    def __init__(self, name: str, description: str, *rest: Any) -> None:
        self._name, self._tag_keys = name, rest[-1]
        assert description
        assert isinstance(self._tag_keys, tuple)
        self._default: dict[str, str] = {}

    def set_default_tags(self, tags: dict[str, str]) -> "Recorded":
        self._default = tags
        return self

    def _record(self, value: float, tags: Mapping[str, str]) -> None:
        self.set(self.values.get(self._name, {}).get(self._key(tags), 0) + value, tags)

    def inc(self, value: float, tags: Mapping[str, str]) -> None:
        assert value > 0
        self._record(value, tags)

    def set(self, value: float, tags: Mapping[str, str]) -> None:
        self.values.setdefault(self._name, {})[self._key(tags)] = value

    def observe(self, value: float) -> None:
        self.set(value, {})

    def _key(self, tags: Mapping[str, str]) -> Key:
        merged = {**self._default, **tags}
        assert set(merged) == set(self._tag_keys)
        return tuple(merged[key] for key in self._tag_keys)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[Key, float]]:
    values: dict[str, dict[Key, float]] = {}
    kept = type("Kept", (Recorded,), {"values": values})
    for name in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(metrics, name, kept)
    return values


def test_a_run_begins_with_zeros_so_that_each_series_is_there(recorded: dict[str, dict[Key, float]]) -> None:
    run = RunMetrics("out-1", WORK, ["topic"], 2)
    assert recorded["xlmr_lease_lost_total"] == recorded["xlmr_rows_total"] == {("out-1",): 0}
    assert recorded["xlmr_fragments"] == {("out-1", "left"): 16, ("out-1", "done"): 384, ("out-1", "failed"): 0}
    run.update(Counts(groups={0: GroupCounts()}), Tally(), 0.0)
    BatchSeconds("out-1", 0).observe(0.5)
    assert set(recorded) == {metric.name for metric in (*names.COUNTERS, *names.GAUGES, *names.HISTOGRAMS)}
    for metric in names.COUNTERS:
        assert set(recorded[metric.name].values()) == {0}, metric
    assert recorded["xlmr_row_errors_total"].keys() == {("out-1", kind) for kind in ErrorKind}
    assert recorded["xlmr_replicas"] == {
        ("out-1", "waiting"): 2,
        ("out-1", "running"): 0,
        ("out-1", "rebuilding"): 0,
    }
    assert recorded["xlmr_batch_seconds"] == {("out-1", "0"): 0.5}


def test_what_is_counted_is_recorded_once(recorded: dict[str, dict[Key, float]]) -> None:
    run = RunMetrics("out-1", WORK, ["topic", "vector"], 3)
    failures = {"a": FragmentFailure.of(FRAGMENT, "read", "damaged")}
    groups = {0: GroupCounts("running", 500, 12.0, 1, 3 * 2**30), 1: GroupCounts("rebuilding", 70)}
    counts = Counts(num_parts=8, num_rows=800, failures=failures, groups=groups)
    tally = Tally(errors={ErrorKind.NO_TEXT: 3}, results={"topic": 797, "vector": 400})
    for now in (0.0, 5.0):
        run.update(counts, tally, now)
    assert recorded["xlmr_tokens_total"] == {("out-1", "0"): 500, ("out-1", "1"): 70}
    assert recorded["xlmr_rows_total"] == {("out-1",): 800}
    assert recorded["xlmr_head_rows_total"] == {("out-1", "topic"): 797, ("out-1", "vector"): 400}
    assert recorded["xlmr_row_errors_total"]["out-1", "no_text"] == 3
    assert sum(recorded["xlmr_row_errors_total"].values()) == 3
    assert recorded["xlmr_rebuilds_total"] == {("out-1", "0"): 1, ("out-1", "1"): 0}
    by_state = {key[1]: value for key, value in recorded["xlmr_fragments"].items()}
    assert by_state == {"left": 7, "done": 392, "failed": 1}
    by_state = {key[1]: value for key, value in recorded["xlmr_replicas"].items()}
    assert by_state == {"waiting": 1, "running": 1, "rebuilding": 1}
    memory = recorded["xlmr_memory_bytes"]
    assert memory["out-1", "0", "rank_peak"] == 3 * 2**30
    assert memory["out-1", "", "driver_peak"] > 2**20
    # A part that is written again with fewer errors.
    run.update(counts, Tally(errors={ErrorKind.NO_TEXT: 2}), 10.0)
    assert recorded["xlmr_row_errors_total"]["out-1", "no_text"] == 3


def test_utilization_is_the_share_of_the_last_minute(recorded: dict[str, dict[Key, float]]) -> None:
    run = RunMetrics("out-1", WORK, [], 1)
    busy_s, found = 0.0, {}
    for now in range(0, 205, 5):
        # Half of the time until 100, then a batch of 100 seconds, which counts when it ends.
        busy_s += 2.5 if now <= 100 else 100.0 if now == 200 else 0.0
        run.update(Counts(groups={0: GroupCounts(busy_s=busy_s)}), Tally(), float(now))
        found[now] = recorded["xlmr_utilization"]["out-1", "0"]
    assert found[0] == 0.0
    assert {found[now] for now in range(10, 105, 5)} == {0.5}
    assert found[130] == pytest.approx(0.25, abs=0.03)
    assert found[180] == 0.0
    assert found[200] == 1.0


LOSS = LeaseLostError("out")


@pytest.mark.parametrize(
    ("is_lost", "error", "num_lost"),
    [
        (True, KeyboardInterrupt(), 1),
        (False, LOSS, 1),
        (False, RayTaskError("write", "Traceback", LOSS), 1),
        (False, KeyboardInterrupt(), 0),
        (False, RayTaskError("write", "Traceback", ValueError()), 0),
    ],
)
def test_a_lost_lease_is_recorded_while_ray_is_there(
    is_lost: bool, error: BaseException, num_lost: int, recorded: dict[str, dict[Key, float]]
) -> None:
    lost = threading.Event()
    if is_lost:
        lost.set()
    run = RunMetrics("out-1", WORK, [], 1)
    with pytest.raises(type(error)), run.counting_lease_loss(lost):
        raise error
    assert recorded["xlmr_lease_lost_total"] == {("out-1",): num_lost}


def test_names_are_as_prometheus_and_ray_take_them() -> None:
    for metric in (*names.COUNTERS, *names.GAUGES, *names.HISTOGRAMS):
        assert metric.name.startswith("xlmr_")
        assert ":" not in metric.name
        assert metric.tags[0] == "run"
    assert all(metric.name.endswith("_total") for metric in names.COUNTERS)
    assert not any(metric.name.endswith("_total") for metric in (*names.GAUGES, *names.HISTOGRAMS))

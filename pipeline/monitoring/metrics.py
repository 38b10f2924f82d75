"""Record the metrics of a run with Ray, whose agents on the nodes export them for Prometheus.

The driver records what the progress actor counts, so most metrics cost no message; leaders record how long their
batches take. Where no agent runs, as in a run that starts Ray for itself, nothing is exported.
"""

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ray.util.metrics import Counter, Gauge, Histogram

from pipeline.errors import LeaseLostError
from pipeline.monitoring import metric_names as names
from pipeline.monitoring.estimates import Rate
from pipeline.monitoring.metric_names import Metric
from pipeline.monitoring.progress_counter import Counts, Work
from pipeline.monitoring.tallies import Tally
from pipeline.row_errors import ErrorKind


class BatchSeconds:
    """The histogram that a leader records: how long the batches of its group take."""

    def __init__(self, run: str, group: int) -> None:
        metric = names.BATCH_SECONDS
        self._histogram = Histogram(
            metric.name, metric.meaning, list(names.BATCH_SECONDS_BOUNDS), metric.tags
        ).set_default_tags({"run": run, "group": str(group)})

    def observe(self, seconds: float) -> None:
        """A batch has taken so long."""
        self._histogram.observe(seconds)


class FollowingCounter:
    """A counter that follows a sum, by tags."""

    def __init__(self, metric: Metric, run: str) -> None:
        self._counter = Counter(metric.name, metric.meaning, metric.tags).set_default_tags({"run": run})
        self._recorded: dict[tuple[str, ...], int] = {}

    def follow(self, total: int, **tags: str) -> None:
        """Count up to the sum; a sum that has become smaller is not followed."""
        key = tuple(tags.values())
        if key not in self._recorded:
            # `inc` refuses 0, but only a series that begins with it shows Prometheus its first increase.
            self._counter._record(0, tags)
        more = total - self._recorded.setdefault(key, 0)
        if more > 0:
            self._counter.inc(more, tags)
            self._recorded[key] = total


class RunMetrics:
    """The metrics that the driver records of a run with some heads and replicas; `work` is what is to be done."""

    def __init__(self, run: str, work: Work, heads: Sequence[str], num_replicas: int) -> None:
        self.run = run
        self._work, self._heads, self._num_replicas = work, heads, num_replicas
        self._counters = {metric: FollowingCounter(metric, run) for metric in names.COUNTERS}
        self._gauges = {
            metric: Gauge(metric.name, metric.meaning, metric.tags).set_default_tags({"run": run})
            for metric in names.GAUGES
        }
        self._busy: defaultdict[int, Rate] = defaultdict(Rate)
        self._counters[names.LEASE_LOST].follow(0)
        self.update(Counts(), Tally(), time.monotonic())

    def update(self, counts: Counts, tally: Tally, now: float) -> None:
        """Record what has been counted, at a time of `time.monotonic`."""
        follow = {metric: counter.follow for metric, counter in self._counters.items()}
        follow[names.ROWS](counts.num_rows)
        for kind in ErrorKind:
            follow[names.ROW_ERRORS](tally.errors.get(kind, 0), kind=kind.value)
        for head in self._heads:
            follow[names.HEAD_ROWS](tally.results.get(head, 0), head=head)
        for number, group in counts.groups.items():
            tag = str(number)
            follow[names.TOKENS](group.num_tokens, group=tag)
            follow[names.REBUILDS](group.num_rebuilds, group=tag)
            self._busy[number].add(now, group.busy_s)
            # A batch counts when it ends, with all of its time.
            self._set(names.UTILIZATION, min(1.0, self._busy[number].recent), group=tag)
            self._set(names.MEMORY, group.peak_rank_bytes, group=tag, kind="rank_peak")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._set(names.MEMORY, peak, group="", kind="driver_peak")
        self._update_states(counts)

    @contextmanager
    def counting_lease_loss(self, lost: threading.Event) -> Iterator[None]:
        """Record it if the lease of the output is lost during the block, before Ray is shut down."""
        try:
            yield
        except BaseException as error:
            # Found by the heartbeat, or by a worker that was to write.
            if lost.is_set() or isinstance(getattr(error, "cause", error), LeaseLostError):
                self._counters[names.LEASE_LOST].follow(1)
            raise

    def _update_states(self, counts: Counts) -> None:
        num_failed = len(counts.failures)
        fragments = {
            "left": max(0, self._work.to_do.num_fragments - counts.num_parts - num_failed),
            "done": self._work.done_before.num_fragments + counts.num_parts,
            "failed": num_failed,
        }
        states = [group.state for group in counts.groups.values()]
        replicas = {state: states.count(state) for state in ("running", "rebuilding")}
        replicas["waiting"] = max(0, self._num_replicas - sum(replicas.values()))
        for metric, by_state in ((names.FRAGMENTS, fragments), (names.REPLICAS, replicas)):
            for state, number in by_state.items():
                self._set(metric, number, state=state)

    def _set(self, metric: Metric, value: float, **tags: str) -> None:
        self._gauges[metric].set(value, tags)

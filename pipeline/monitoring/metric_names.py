"""The metrics of a run: what each is called, counts, and is told apart by. Ray exports them as `ray_NAME`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric. Its tags never hold a text of a row or a secret.

    Attributes:
        name: as it is recorded; those of counters end in `_total`.
        meaning: for people.
        tags: `run` is the id of the run, `group` the number of a shard group, `head` the name of a head.
    """

    name: str
    meaning: str
    tags: tuple[str, ...]


TOKENS = Metric("xlmr_tokens_total", "Tokens that have gone through a trunk.", ("run", "group"))
ROWS = Metric("xlmr_rows_total", "Rows of written parts.", ("run",))
HEAD_ROWS = Metric("xlmr_head_rows_total", "Rows of written parts with a result of the head.", ("run", "head"))
ROW_ERRORS = Metric(
    "xlmr_row_errors_total", "Rows of written parts with an error, by its kind (`ErrorKind`).", ("run", "kind")
)
BATCH_SECONDS = Metric("xlmr_batch_seconds", "How long the ranks of a group take for a batch.", ("run", "group"))
UTILIZATION = Metric(
    "xlmr_utilization", "Share of the last minute in which the ranks of a group had a batch.", ("run", "group")
)
FRAGMENTS = Metric("xlmr_fragments", "Fragments; state: left, done or failed.", ("run", "state"))
REPLICAS = Metric(
    "xlmr_replicas",
    "Replicas; state: waiting (for room, or for the model to load), running, or rebuilding.",
    ("run", "state"),
)
LEASE_LOST = Metric("xlmr_lease_lost_total", "Leases of the output that were lost.", ("run",))
REBUILDS = Metric("xlmr_rebuilds_total", "How often all ranks of a group were started again.", ("run", "group"))
MEMORY = Metric(
    "xlmr_memory_bytes",
    "Peak memory so far; kind: rank_peak (of the largest rank of a group) or driver_peak.",
    ("run", "group", "kind"),
)

COUNTERS = (TOKENS, ROWS, HEAD_ROWS, ROW_ERRORS, LEASE_LOST, REBUILDS)
GAUGES = (UTILIZATION, FRAGMENTS, REPLICAS, MEMORY)
HISTOGRAMS = (BATCH_SECONDS,)

BATCH_SECONDS_BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0)
EXPORT_PREFIX = "ray_"

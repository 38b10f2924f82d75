"""Settle `input.max_fragment_rows = "auto"`: larger fragments for many replicas, as one driver feeds all of them.

A driver passes on 24 to 35 fragments a second, and a replica on a large GPU takes some 2 s for one of 2,048 rows
(`jobs/benchmark/README.md`). So fragments grow once there are more than 16 replicas, which take a third of that.
"""

from collections.abc import Callable

from pipeline.config.job import DEFAULT_FRAGMENT_ROWS, JobConfig
from pipeline.driver.cluster_address import LOCAL

_NUM_REPLICAS = 16
# Of 32,768 rows: a part of the output and what a leader holds in memory grow as well.
_MAX_GROWTH = 16


def settle_fragment_rows(
    job: JobConfig, kept: int | None, count_replicas: Callable[[], int], tell: Callable[[str], None]
) -> int | None:
    """The rows per fragment that "auto" comes to; None where the job says a number.

    It is `kept`, what the output was begun with, if it was. `count_replicas` is called for a new one with
    `model.replicas = "auto"`.
    """
    if job.input.max_fragment_rows != "auto":
        return None
    if kept is not None:
        return kept
    num_replicas = count_replicas() if job.model.replicas == "auto" else job.model.replicas
    rows = fragment_rows(num_replicas)
    tell(f"input.max_fragment_rows: {rows:,}, as of {num_replicas} replicas; it stays so for this output")
    return rows


def fragment_rows(num_replicas: int) -> int:
    """Rows per fragment for so many replicas: the default times a power of two."""
    growth = 1
    while growth * _NUM_REPLICAS < num_replicas and growth < _MAX_GROWTH:
        growth *= 2
    return growth * DEFAULT_FRAGMENT_ROWS


def with_fragment_rows(job: JobConfig, rows: int | None) -> JobConfig:
    """The job with fragments of so many rows, and of as many times more bytes; as it is for None."""
    if rows is None:
        return job
    growth = rows // DEFAULT_FRAGMENT_ROWS
    changes = {"max_fragment_rows": rows, "max_fragment_bytes": growth * job.input.max_fragment_bytes}
    return job.model_copy(update={"input": job.input.model_copy(update=changes)})


def replicas_on(job: JobConfig, address: str) -> int:
    """As many replicas as the cluster at an address would hold if nobody else used it; 1 for this machine.

    A machine has fewer than those for which fragments grow.
    """
    if address == LOCAL:
        return 1
    # Imported late, as Ray takes a second to load.
    from pipeline.driver.ray_connection import cluster_at  # noqa: PLC0415
    from pipeline.replica.deployment import device_on  # noqa: PLC0415
    from pipeline.replica.layout import lay_out  # noqa: PLC0415

    cluster, cores_per_node = cluster_at(address)
    num_wanted = _MAX_GROWTH * _NUM_REPLICAS
    layout = lay_out(job.model, device_on(cluster, job.model), cores_per_node, num_wanted, cluster)
    return layout.num_possible

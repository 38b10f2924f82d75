"""The outlook of a run for `--plan`: what it would do, its tokens, memory of ranks, layout on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.driver.prepared_run import PreparedRun
from pipeline.driver.token_estimate import TokenEstimate, estimate_tokens
from pipeline.fragments import Fragment
from pipeline.monitoring.cluster_state import ClusterState, Node
from pipeline.output.failure_log import FailureLog
from pipeline.output.increment import Increment
from pipeline.replica.deployment import default_device, device_on, resolve_dtype
from pipeline.replica.layout import Layout, lay_out
from pipeline.replica.memory import RankMemory, rank_memory
from pipeline.replica.token_budget import CPU_TOKEN_BUDGET, free_bytes_here, resolve_token_budget


@dataclass(frozen=True)
class Outlook:
    """What a prepared run would do.

    Attributes:
        token_budget: tokens per batch; None if it depends on a GPU that this machine does not have.
        memory: of a rank, with `CPU_TOKEN_BUDGET` if the budget is not known.
        tokens: None if no row could be read.
        layout: on the nodes of a cluster; None without one, or if there is nothing to do.
    """

    increment: Increment
    todo: Sequence[Fragment]
    device: str
    dtype: str
    token_budget: int | None
    memory: RankMemory
    tokens: TokenEstimate | None
    layout: Layout | None = None
    nodes: tuple[Node, ...] = ()


def outlook_of(prepared: PreparedRun, cluster: ClusterState | None = None, cores_per_node: int = 1) -> Outlook:
    """Take the inventory of the output, and lay the job out on a cluster, or on one like this machine.

    Raises ConfigError if the cluster can never hold it.
    """
    job, folder = prepared.job, prepared.folder
    run = prepared.output_in(folder)
    failed = FailureLog(folder).failures()
    if cluster is not None:
        device = device_on(cluster, job.model)
    else:
        device = default_device() if job.model.device == "auto" else job.model.device
    dtype = resolve_dtype(job.model, device)
    token_budget = run.manifest.token_budget() or _token_budget(prepared, device, dtype)
    memory = rank_memory(
        prepared.heads,
        tensor_parallel_size=job.model.tensor_parallel_size,
        token_budget=token_budget or CPU_TOKEN_BUDGET,
        dtype=dtype,
        device=device,
    )
    todo = prepared.fragments_to_do(run, failed)
    tokens = estimate_tokens(job, prepared.heads, prepared.plan)
    outlook = Outlook(run.increment, todo, device, dtype, token_budget, memory, tokens)
    if cluster is None or not todo:
        return outlook
    layout = lay_out(job.model, device, cores_per_node, len(todo), cluster)
    return replace(outlook, layout=layout, nodes=cluster.nodes)


def _token_budget(prepared: PreparedRun, device: str, dtype: str) -> int | None:
    model = prepared.job.model
    if model.token_budget == "auto" and device != default_device() == "cpu":
        return None
    return resolve_token_budget(model, prepared.heads, device=device, dtype=dtype, free_bytes=free_bytes_here)

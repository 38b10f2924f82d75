"""The outlook of a run for `--plan`, without a cluster: what it would do, its tokens, the memory of its ranks."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.driver.run import PreparedRun
from pipeline.driver.token_estimate import TokenEstimate, estimate_tokens
from pipeline.fragments import Fragment
from pipeline.output.failure_log import FailureLog
from pipeline.output.increment import Increment
from pipeline.replica.deployment import default_device, resolve_dtype
from pipeline.replica.memory import RankMemory, rank_memory
from pipeline.replica.token_budget import CPU_TOKEN_BUDGET, free_bytes_here, resolve_token_budget


@dataclass(frozen=True)
class Outlook:
    """What a prepared run would do.

    Attributes:
        token_budget: tokens per batch; None if it depends on a GPU that this machine does not have.
        memory: of a rank, with `CPU_TOKEN_BUDGET` if the budget is not known.
        tokens: None if no row could be read.
    """

    increment: Increment
    todo: Sequence[Fragment]
    device: str
    dtype: str
    token_budget: int | None
    memory: RankMemory
    tokens: TokenEstimate | None


def outlook_of(prepared: PreparedRun) -> Outlook:
    """Take the inventory of the output, and lay the job out on a cluster like this machine."""
    job, folder = prepared.job, prepared.folder
    run = prepared.output_in(folder)
    failed = FailureLog(folder).failures()
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
    return Outlook(run.increment, todo, device, dtype, token_budget, memory, tokens)


def _token_budget(prepared: PreparedRun, device: str, dtype: str) -> int | None:
    model = prepared.job.model
    if model.token_budget == "auto" and device != default_device() == "cpu":
        return None
    return resolve_token_budget(model, prepared.heads, device=device, dtype=dtype, free_bytes=free_bytes_here)

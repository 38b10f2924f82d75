"""What `--plan` prints."""

from collections.abc import Iterable, Sequence

from rich.table import Column, Table

from jobs.terminal.console import plain_console
from pipeline.config.job import JobConfig
from pipeline.driver.ray_connection import default_device, resolve_dtype
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.input.planning import Plan
from pipeline.output.increment import Increment
from pipeline.replica.memory import RankMemory, rank_memory
from pipeline.replica.token_budget import CPU_TOKEN_BUDGET, free_bytes_here, resolve_token_budget
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

GIB = 2**30
_MAX_SHOWN = 10


def describe_increment(increment: Increment, *, prunes: bool = False) -> str | None:
    """A line for people on files that are new, changed or gone; None for a new output, or if there are none."""
    if not (increment.changed or increment.removed or (increment.new and increment.unchanged)):
        return None
    counts = (
        f"input: {len(increment.new):,} files new, {len(increment.changed):,} changed, "
        f"{len(increment.unchanged):,} unchanged, {len(increment.removed):,} removed"
    )
    if not increment.removed:
        return counts
    fate = "are deleted" if prunes else "are kept, --prune-removed deletes them"
    return f"{counts}: {_shown(increment.removed)} (their parts {fate})"


def print_plan(
    job: JobConfig,
    plan: Plan,
    heads: Sequence[Head],
    increment: Increment,
    todo: Sequence[Fragment],
    *,
    unused: Sequence[str] = (),
    prunes: bool = False,
    kept_token_budget: int | None = None,
) -> None:
    """Files, fragments, rows, bytes, heads, shard groups and memory per rank.

    Args:
        unused: tensors of checkpoints that nobody reads, a line a directory.
        prunes: whether the parts of removed files are to be deleted.
        kept_token_budget: what "auto" came to when the output was begun.
    """
    console = plain_console(160)
    device = default_device() if job.model.device == "auto" else job.model.device
    dtype = resolve_dtype(job.model, device)
    token_budget = kept_token_budget or _token_budget(job, heads, device, dtype)
    memory = rank_memory(
        heads,
        tensor_parallel_size=job.model.tensor_parallel_size,
        token_budget=token_budget or CPU_TOKEN_BUDGET,
        dtype=dtype,
        device=device,
    )
    summary = Table(Column(), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("input", ", ".join(without_secret(path) for path in job.input.path)),
        ("files", f"{plan.num_files:,} ({len(plan.failed_files)} cannot be read)"),
        *_changes(increment, prunes=prunes),
        ("fragments", f"{len(plan.fragments):,}, of which {len(todo):,} are to do"),
        ("rows", f"{plan.num_rows:,}, of which {sum(f.num_rows for f in todo):,} are to do"),
        ("bytes", f"{plan.num_bytes:,} uncompressed, of the columns read"),
        ("output", without_secret(job.output.path)),
        ("model", f"{job.model.path}, {dtype} on {device}"),
        ("shard groups", f"{job.model.replicas} of {job.model.tensor_parallel_size} ranks"),
        ("memory per rank", _describe_memory(memory, token_budget)),
    ):
        summary.add_row(name, value)
    console.print(summary)
    headings = ("head", "task", "reads", "weights", "column type")
    table = Table(*(Column(heading, overflow="fold") for heading in headings), box=None, pad_edge=False)
    for head in heads:
        reads = " + ".join(head.options.text_columns)
        table.add_row(head.name, head.options.task, reads, head.options.weights, str(head.output_type))
    console.print(table)
    for line in unused:
        console.print(f"unused in {line}", soft_wrap=True)
    for file in plan.failed_files:
        console.print(f"cannot be read: {file.path}: {file.reason}", soft_wrap=True)
    for line in plan.passed_over.lines:
        console.print(line, soft_wrap=True)


def _token_budget(job: JobConfig, heads: Sequence[Head], device: str, dtype: str) -> int | None:
    """Tokens per batch; None where a GPU decides, and this machine has none to ask."""
    if job.model.token_budget == "auto" and device != default_device() == "cpu":
        return None
    return resolve_token_budget(job.model, heads, device=device, dtype=dtype, free_bytes=free_bytes_here)


def _describe_memory(memory: RankMemory, token_budget: int | None) -> str:
    if token_budget is None:
        budget = f"{CPU_TOKEN_BUDGET:,} tokens (how many fit, the GPU tells at the start)"
    else:
        budget = f"{token_budget:,} tokens"
    loading = f" ({memory.loading / GIB:.2f} while loading)" if memory.loading > memory.weights else ""
    return (
        f"{memory.weights / GIB:.2f} GiB of weights{loading}, at most {memory.activations / GIB:.2f} GiB of "
        f"activations for batches of {budget}"
    )


def _changes(increment: Increment, *, prunes: bool) -> Iterable[tuple[str, str]]:
    """What is different from the last run, with the first names of each kind."""
    fate = "are deleted" if prunes else "stay unless --prune-removed is given"
    touched = f", {len(increment.touched):,} of them in time or ETag only" if increment.touched else ""
    for name, paths, more in (
        ("  new", increment.new, ""),
        ("  changed", increment.changed, touched),
        ("  unchanged", increment.unchanged, ""),
        ("  removed", increment.removed, f", whose parts {fate}"),
    ):
        shown = f": {_shown(paths)}" if paths and paths is not increment.unchanged else ""
        yield name, f"{len(paths):,}{more if paths else ''}{shown}"


def _shown(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MAX_SHOWN:,} more" if len(paths) > _MAX_SHOWN else ""
    return ", ".join(printable(path) for path in paths[:_MAX_SHOWN]) + more

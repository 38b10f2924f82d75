"""Print the plan of a run, for `--plan`."""

from collections.abc import Iterable

from rich.table import Column, Table

from jobs.terminal.console import plain_console
from pipeline.driver.preview import Preview
from pipeline.driver.run import PreparedRun
from pipeline.output.increment import Increment
from pipeline.replica.memory import RankMemory
from pipeline.replica.token_budget import CPU_TOKEN_BUDGET
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import shortened

GIB = 2**30


def print_plan(run: PreparedRun, preview: Preview) -> None:
    """Print files, fragments, rows, bytes, heads, shard groups and memory per rank."""
    console = plain_console(160)
    job, plan, todo = run.job, run.plan, preview.todo
    summary = Table(Column(), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("input", ", ".join(without_secret(path) for path in job.input.path)),
        ("files", f"{plan.num_files:,} ({len(plan.failed_files)} cannot be read)"),
        *_changes(preview.increment, prunes=run.options.prunes),
        ("fragments", f"{len(plan.fragments):,}, of which {len(todo):,} are to do"),
        ("rows", f"{plan.num_rows:,}, of which {sum(f.num_rows for f in todo):,} are to do"),
        ("bytes", f"{plan.num_bytes:,} uncompressed, of the columns read"),
        ("output", without_secret(job.output.path)),
        ("model", f"{job.model.path}, {preview.dtype} on {preview.device}"),
        ("shard groups", f"{job.model.replicas} of {job.model.tensor_parallel_size} ranks"),
        ("memory per rank", _describe_memory(preview.memory, preview.token_budget)),
    ):
        summary.add_row(name, value)
    console.print(summary)
    headings = ("head", "task", "reads", "weights", "column type")
    table = Table(*(Column(heading, overflow="fold") for heading in headings), box=None, pad_edge=False)
    for head in run.heads:
        reads = " + ".join(head.options.text_columns)
        table.add_row(head.name, head.options.task, reads, head.options.weights, str(head.output_type))
    console.print(table)
    for line in run.findings.unused:
        console.print(f"unused in {line}", soft_wrap=True)
    for file in plan.failed_files:
        console.print(f"cannot be read: {file.path}: {file.reason}", soft_wrap=True)
    for line in plan.passed_over.lines:
        console.print(line, soft_wrap=True)


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
    """Rows of the table on what has changed since the last run, with the first paths of each kind."""
    fate = "are deleted" if prunes else "stay unless --prune-removed is given"
    touched = f", {len(increment.touched):,} of them in time or ETag only" if increment.touched else ""
    for name, paths, more in (
        ("  new", increment.new, ""),
        ("  changed", increment.changed, touched),
        ("  unchanged", increment.unchanged, ""),
        ("  removed", increment.removed, f", whose parts {fate}"),
    ):
        shown = f": {shortened(paths)}" if paths and paths is not increment.unchanged else ""
        yield name, f"{len(paths):,}{more if paths else ''}{shown}"

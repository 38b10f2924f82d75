"""Print the plan of a run, for `--plan`."""

from collections.abc import Iterable

from rich.table import Column, Table

from jobs.annotate.estimates import describe_time, describe_tokens
from jobs.terminal.console import plain_console
from pipeline.driver.outlook import Outlook
from pipeline.driver.prepared_run import PreparedRun
from pipeline.heads.resolve import Head
from pipeline.output.increment import Increment
from pipeline.replica.layout import describe_layout
from pipeline.replica.memory import RankMemory
from pipeline.replica.token_budget import CPU_TOKEN_BUDGET
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import number_of, shortened

GIB = 2**30
_NARROW = 100
"""Characters a line that the table of heads needs."""


def print_plan(run: PreparedRun, outlook: Outlook, tokens_per_s: float | None = None) -> None:
    """Print files, fragments, rows, bytes, tokens, heads, shard groups and memory per rank.

    With `tokens_per_s`, how long the run would take at that rate, and what it would cost.
    """
    console = plain_console(160)
    job, plan, todo = run.job, run.plan, outlook.todo
    num_rows = sum(fragment.num_rows for fragment in todo)
    summary = Table(Column(), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("input", ", ".join(without_secret(path) for path in job.input.path)),
        ("files", f"{plan.num_files:,} ({len(plan.failed_files)} cannot be read)"),
        *_changes(outlook.increment, prunes=run.options.prunes),
        ("fragments", f"{len(plan.fragments):,}, {len(todo):,} to do"),
        ("rows", f"{plan.num_rows:,}, {num_rows:,} to do"),
        ("bytes", f"{plan.num_bytes:,} uncompressed, of the columns read"),
        *describe_tokens(outlook.tokens, num_rows),
        *_time(outlook, num_rows, tokens_per_s, job.run.cost_per_hour),
        ("output", without_secret(job.output.path)),
        ("model", f"{job.model.path}, {outlook.dtype} on {outlook.device}"),
        ("shard groups", f"{job.model.replicas} of {number_of(job.model.tensor_parallel_size, 'rank')}"),
        *_layout(outlook),
        ("memory per rank", _describe_memory(outlook.memory, outlook.token_budget)),
    ):
        summary.add_row(name, value)
    console.print(summary)
    console.print(_heads_table(run.heads, is_narrow=console.width < _NARROW))
    for line in run.findings.unused:
        console.print(f"unused in {line}", soft_wrap=True)
    for file in plan.failed_files:
        console.print(f"cannot be read: {file.path}: {file.reason}", soft_wrap=True)
    for line in plan.passed_over.lines:
        console.print(line, soft_wrap=True)


def _heads_table(heads: Iterable[Head], *, is_narrow: bool) -> Table:
    """A line for each head, or where that would break words, a line for each of its facts."""
    headings = ("head", "task", "reads", "weights", "column type")
    names = ("", "") if is_narrow else headings
    columns = (Column(name, overflow="fold") for name in names)
    table = Table(*columns, show_header=not is_narrow, box=None, pad_edge=False)
    for head in heads:
        reads = " + ".join(head.options.text_columns)
        cells = (head.name, head.options.task, reads, head.options.weights, str(head.output_type))
        if is_narrow:
            for heading, cell in zip(headings, cells, strict=True):
                table.add_row(heading if heading == headings[0] else f"  {heading}", cell)
        else:
            table.add_row(*cells)
    return table


def _layout(outlook: Outlook) -> Iterable[tuple[str, str]]:
    if outlook.layout is not None:
        for line in describe_layout(outlook.layout, outlook.nodes):
            yield "", line


def _time(
    outlook: Outlook, num_rows: int, tokens_per_s: float | None, cost_per_hour: float | None
) -> Iterable[tuple[str, str]]:
    if tokens_per_s is not None and outlook.tokens is not None:
        yield "time", describe_time(outlook.tokens.tokens_per_row * num_rows, tokens_per_s, cost_per_hour)


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

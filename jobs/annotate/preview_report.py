"""Print a preview: its first rows, errors by kind, labels by count, and what the whole job will take."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from jobs.annotate.estimates import about, describe_time
from jobs.annotate.preview_cells import cell, counted, named_labels
from pipeline.columns import ERROR
from pipeline.driver.preview_job import ROWS
from pipeline.driver.token_estimate import TokenEstimate
from pipeline.fragments import PartName
from pipeline.heads.resolve import Head
from pipeline.monitoring.progress_counter import Counts
from pipeline.output.output_folder import OutputFolder
from pipeline.row_errors import count_kinds
from pipeline.storage.printable import number_of, printable

MAX_ROWS = 10
_MAX_COUNTED = 10
# A table whose widest columns would be cut to fewer characters is hard to read.
_MIN_WIDTH = 12
_MAX_CELL_CHARS = 500


def read_preview(output: OutputFolder, heads: Sequence[Head]) -> pa.Table:
    """The errors and the columns of the heads, of all rows of an output in order."""
    names = [ERROR, *(head.name for head in heads)]
    parts = sorted(path for path, _ in output.list_files() if PartName.parse(path) and not path.startswith("_"))
    tables = [_read(output, path).read(columns=names) for path in parts]
    empty = pa.schema([(ERROR, pa.string()), *((head.name, head.output_type) for head in heads)]).empty_table()
    return pa.concat_tables(tables) if tables else empty


def read_texts(output: OutputFolder, column: str) -> list[Any]:
    """A column of the first rows that a preview is of."""
    return next(_read(output, ROWS).iter_batches(MAX_ROWS, columns=[column])).column(0).to_pylist()


def _read(output: OutputFolder, path: str) -> pq.ParquetFile:
    data = output.read(path)
    assert data is not None, path
    return pq.ParquetFile(pa.BufferReader(data))


def print_rows(console: Console, rows: pa.Table, heads: Sequence[Head], texts: Sequence[Any] | None) -> None:
    """The first rows with their texts, if these are known, and the value of each head.

    As a table, or, where the terminal is too narrow for its columns, as a block of lines for each row.
    """
    shown = rows.slice(0, MAX_ROWS).to_pylist()
    columns = {"row": [str(number) for number in range(1, 1 + len(shown))]}
    if texts is not None:
        columns["text"] = [cell(text) for text in texts[: len(shown)]]
    columns |= {head.name: [cell(row[head.name], head.options.task) for row in shown] for head in heads}
    if any(row[ERROR] is not None for row in shown):
        columns[ERROR] = [cell(row[ERROR]) for row in shown]
    lines = [
        [printable(value[:_MAX_CELL_CHARS]) for value in values] for values in zip(*columns.values(), strict=True)
    ]
    names = [printable(name) for name in columns]
    widths = [max(map(cell_len, column)) for column in zip(names, *lines, strict=True)]
    widest = _widest(widths, console.width - len(widths) + 1)
    if widest < min(_MIN_WIDTH, max(widths)):
        _print_blocks(console, names, lines)
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=min(width, widest))
    for values in lines:
        table.add_row(*values)
    console.print(table)


def _widest(widths: Sequence[int], available: int) -> int:
    """The largest width that columns can be cut to so that they fit; narrower ones stay whole."""
    fitting = (width for width in range(max(widths), 0, -1) if sum(min(w, width) for w in widths) <= available)
    return next(fitting, 0)


def _print_blocks(console: Console, names: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    width = max(map(cell_len, names))
    for values in lines:
        for name, value in zip(names, values, strict=True):
            console.print(f"{name}{' ' * (width - cell_len(name))} {value}", no_wrap=True, overflow="ellipsis")
        console.print()


def print_counts(console: Console, rows: pa.Table, heads: Sequence[Head]) -> None:
    """Rows with errors by kind, then the labels of each head, most frequent first."""
    errors = rows[ERROR].drop_null()
    console.print(f"errors: {len(errors):,} of {number_of(rows.num_rows, 'row')}")
    kinds = count_kinds((found["values"], found["counts"]) for found in pc.value_counts(errors).to_pylist())
    for kind, count in sorted(kinds.items(), key=lambda item: -item[1]):
        console.print(f"  {count:,}  {kind}")
    for head in heads:
        labels = named_labels(rows[head.name], head.options.task)
        if labels is None:
            continue
        found = counted(labels, _MAX_COUNTED) if len(labels) else []
        shown = ", ".join(f"{printable(label)} {count:,}" for label, count in found) or "none"
        console.print(f"labels of {head.name}: {shown}")


def print_whole_job(
    console: Console,
    counts: Counts,
    num_rows: int,
    estimate: TokenEstimate | None,
    cost_per_hour: float | None,
) -> None:
    """How long all rows of the job take at the measured rate, and what they cost."""
    if estimate is None or counts.annotating_s <= 0 or not counts.num_tokens:
        console.print(f"the whole job: {number_of(num_rows, 'row')}; how long it takes was not measured")
        return
    num_tokens, rate = estimate.tokens_per_row * num_rows, counts.num_tokens / counts.annotating_s
    console.print(
        f"the whole job: {number_of(num_rows, 'row')}, {about(num_tokens, is_exact=estimate.is_exact)} tokens, "
        f"{describe_time(num_tokens, rate, cost_per_hour)} (measured on {number_of(counts.num_tokens, 'token')}, "
        "without the start)"
    )

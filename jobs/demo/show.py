"""Print the output of the demo: a table of rows, accuracy, the nearest sentences, and what to try next."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.storage.printable import number_of

NARROWEST = 100
COLUMNS = ("id", "lang", "text", "num_tokens", "error", "language", "tags", "loss", "vector")
"""Columns of the output that are shown."""
SHOWN = (
    *("en-01", "de-01", "da-01", "es-02", "tr-01", "ru-01", "el-01", "ar-01", "hi-01", "ka-01", "sw-01", "vi-01"),
    *("ja-01", "zh-01", "ko-01", "fr-09", "broken-01", "broken-03"),
)
"""Rows of the sample that are shown."""


def print_output(console: Console, table: pa.Table) -> None:
    """A few rows as a table, the accuracy of `language`, and the nearest sentences."""
    rows = {row["id"]: row for row in table.to_pylist()}
    console.print()
    console.print(rows_table(rows, text_width=console.width - 40))
    console.print(accuracy_line(rows))
    console.print(nearest_line(rows))


def rows_table(rows: dict[str, dict[str, Any]], text_width: int) -> Table:
    """A table of the rows in `SHOWN`: language, loss, number of tokens, and the text above its tags."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("row")
    table.add_column("language", no_wrap=True)
    table.add_column("loss", justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("text, and its parts of speech", no_wrap=True)
    for name in SHOWN:
        row = rows.get(name)
        if row is not None:
            table.add_row(*_cells(row, text_width))
    return table


def _cells(row: dict[str, Any], text_width: int) -> tuple[str, ...]:
    if row["error"] is not None:
        return row["id"], "", "", "", f"[red]{escape(_cut(row['error'], text_width))}[/]"
    language = row["language"]
    colour = "green" if language["label"] == row["lang"] else "red"
    tags = " ".join(tag["entity"] for tag in row["tags"][:40])
    text = row["text"].replace("\n", " ")
    return (
        row["id"],
        f"[{colour}]{escape(language['label'])}[/] {language['score']:.2f}",
        f"{row['loss']['loss']:.2f}",
        str(row["num_tokens"]),
        f"{escape(_cut(text, text_width))}\n[dim]{escape(_cut(tags, text_width))}[/]",
    )


def accuracy_line(rows: dict[str, dict[str, Any]]) -> str:
    """The share of texts whose language is right, and the number of rows with errors."""
    with_text = [row for row in rows.values() if row["lang"] is not None and row["language"] is not None]
    num_right = sum(row["language"]["label"] == row["lang"] for row in with_text)
    num_errors = sum(row["error"] is not None for row in rows.values())
    return (
        f"\nlanguage is right in [bold]{num_right} of {len(with_text)}[/] texts "
        f"({num_right / len(with_text):.1%}) in {len({row['lang'] for row in with_text})} languages; "
        f"{number_of(num_errors, 'row')} could not be read and say so"
    )


def nearest_line(rows: dict[str, dict[str, Any]]) -> str:
    """The two sentences of different languages with the most similar vectors."""
    found = [row for row in rows.values() if row["vector"] is not None]
    vectors = np.array([row["vector"] for row in found], dtype=np.float32)
    languages = np.array([row["lang"] for row in found])
    cosines = vectors @ vectors.T
    cosines[languages[:, None] == languages[None, :]] = -1.0
    a, b = divmod(int(cosines.argmax()), len(found))
    return (
        f"nearest vectors across languages, cosine {cosines[a, b]:.2f}: "
        f"{escape(_sentence(found[a]))} | {escape(_sentence(found[b]))}"
    )


def _sentence(row: dict[str, Any]) -> str:
    return f"{row['text']} ({row['lang']})"


def throughput_line(num_tokens: int, seconds: float) -> str:
    """Tokens per second over the whole run, including the start of Ray."""
    return (
        f"{num_tokens:,} tokens of text in {seconds:.0f} s, most of them to start Ray: "
        f"{num_tokens / seconds:,.0f} tokens/s"
    )


def print_next_steps(console: Console, job: Path, xl_job: Path, output: Path) -> None:
    """Print where the output is, and three commands to try next."""
    annotate = "  .venv/bin/python -m jobs.annotate"
    console.print(
        f"\nThe Parquet is in {output}. Next:\n"
        f"{annotate} {job} --set input.path=YOUR.parquet --set output.path=yours\n"
        f"{annotate} {xl_job} --set model.path=YOUR/xlm-roberta-xl\n"
        f"  ray job submit --working-dir . -- python -m jobs.annotate {job} --set output.path=s3://YOUR/annotated",
        soft_wrap=True,
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

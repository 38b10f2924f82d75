"""Parquet files and jobs for the tests of the input and output."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.job import JobConfig
from pipeline.fragments import Cut, Fragment
from pipeline.input.fragment_table import FileCuts, FragmentTable, PlannedFile
from pipeline.input.reading import FragmentReader
from pipeline.output.call_history import RUNS


def rows(num_rows: int, first: int = 0) -> pa.Table:
    """Rows that can be told apart: id int64, lang string, text string."""
    ids = range(first, first + num_rows)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "lang": pa.array(["de" if i % 2 else "sw" for i in ids], pa.string()),
            "text": pa.array([f"row {i} " + "ä" * (i % 7) for i in ids], pa.string()),
        }
    )


def write(path: Path, table: pa.Table, row_group_size: int = 1024, **options: Any) -> Path:
    """Write a table to a file in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size, **options)
    return path


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder: the content of each file, None for each folder.

    Records of calls are left out, as they are no part of the promise of equal bytes.
    """
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if not f"{path}/".startswith(f"{root / RUNS}/")
    }


def job(
    path: Path | str | list[str],
    *,
    output: Path | str = "/nowhere/out",
    heads: dict[str, Any] | None = None,
    **options: Any,
) -> JobConfig:
    """A job on some input with one embedding head; `options` are keys of [input]."""
    return JobConfig.model_validate(
        {
            "model": {"path": "m"},
            "input": {"path": path if isinstance(path, list) else str(path), **options},
            "output": {"path": str(output)},
            "heads": heads or {"vector": {"task": "embedding"}},
        }
    )


def read_fragment(fragment: Fragment, schema: pa.Schema, filesystem: Any) -> pa.Table:
    """The rows of one fragment, by a reader of its own."""
    reader = FragmentReader(schema, filesystem)
    table = reader.read(fragment)
    reader.close()
    return table


def file_fragments(
    path: str, relative_path: str, file_size: int, version: str, cuts: Sequence[Cut], mark: str = ""
) -> list[Fragment]:
    """The fragments of one file, one for each cut."""
    file = PlannedFile(path, relative_path, file_size, version, mark)
    return list(FragmentTable([(file, FileCuts.of(cuts))]))

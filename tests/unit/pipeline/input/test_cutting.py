from pathlib import Path

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.fragments import RowGroup, cut_file
from pipeline.input.planning import plan_fragments
from tests.unit.pipeline.input_files import job, read_fragment

MAX_BYTES = 100_000
TEXTS = ["a" * 10_000, "b" * 10_000]


def largest(path: Path, table: pa.Table) -> int:
    """The size of the largest fragment of a file that holds this table; all of its rows must be there."""
    plan = plan_fragments(job(path, max_fragment_bytes=MAX_BYTES, text=table.column_names[0]))
    tables = [read_fragment(fragment, plan.read_schema, plan.filesystem) for fragment in plan.fragments]
    assert pa.concat_tables(tables).cast(table.schema).equals(table)
    assert plan.fragments == plan_fragments(job(path, max_fragment_bytes=MAX_BYTES, text="text")).fragments
    return max(fragment.nbytes for fragment in tables)


@pytest.mark.parametrize(
    "options",
    [{}, {"data_page_version": "2.0"}],
)
def test_repeated_texts_are_within_the_bound(tmp_path: Path, options: dict[str, object]) -> None:
    table = pa.table({"text": [TEXTS[i // 150] for i in range(300)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, **options)
    assert path.stat().st_size < MAX_BYTES
    assert largest(path, table) <= MAX_BYTES


def test_repeated_texts_without_size_statistics(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([TEXTS[i % 2] for i in range(300)], pa.large_string())})
    polars.from_arrow(table).write_parquet(tmp_path / "a.parquet")
    assert largest(tmp_path / "a.parquet", table) <= 1.1 * MAX_BYTES


def test_a_row_that_is_over_the_bound_is_a_fragment(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 3 * MAX_BYTES] * 30})
    pq.write_table(table, tmp_path / "a.parquet")
    plan = plan_fragments(job(tmp_path, max_fragment_bytes=MAX_BYTES))
    assert [fragment.num_rows for fragment in plan.fragments] == [1] * 30


def test_lists_of_equal_numbers_are_within_the_bound(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"] * 300, "zeros": pa.array([[0] * 1000] * 300, pa.list_(pa.int64()))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert largest(tmp_path / "a.parquet", table) <= MAX_BYTES


def test_cuts_stay_where_the_bound_is_exceeded_a_little(tmp_path: Path) -> None:
    table = pa.table({"text": [TEXTS[i % 2] for i in range(75)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    [group] = [pq.read_metadata(path).row_group(0)]
    size = RowGroup(75, group.column(0).total_uncompressed_size)
    found = plan_fragments(job(path, max_fragment_bytes=MAX_BYTES)).fragments
    assert len(found) == len(cut_file([size], max_rows=2048, max_bytes=MAX_BYTES)) == 1

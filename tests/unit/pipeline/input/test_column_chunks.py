from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.input.planning import plan_fragments
from tests.unit.pipeline.input.parquet_damage import replace_in_footer, zigzag
from tests.unit.pipeline.input_files import job, rows, write


def reason_of(folder: Path) -> str:
    """Why one file of a folder is not read, while the other is."""
    write(folder / "whole.parquet", rows(5))
    plan = plan_fragments(job(folder, columns=["text"]))
    assert [fragment.relative_path for fragment in plan.fragments] == ["whole.parquet"]
    [failed] = plan.failed_files
    return failed.reason


@pytest.mark.parametrize("num_rows", [10**9, 2**40])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_rows_that_no_page_has_are_not_believed(tmp_path: Path, num_rows: int, version: str) -> None:
    table = pa.table({"text": ["x"] * 777})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, write_statistics=False, compression="none", data_page_version=version)
    replace_in_footer(path, zigzag(777), zigzag(num_rows))
    assert reason_of(tmp_path) == (
        f"damaged: the pages of row group 0 have 777 rows, expected {num_rows} as in the footer"
    )


def test_many_equal_rows_in_few_bytes_are_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"text": ["x"] * 3_000_000}), row_group_size=2**21)
    assert path.stat().st_size < 10_000
    plan = plan_fragments(job(tmp_path))
    assert (plan.num_rows, plan.failed_files) == (3_000_000, ())


def test_offsets_beyond_the_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"] * 5}), path, use_dictionary=False, column_encoding="PLAIN")
    chunk = pq.read_metadata(path).row_group(0).column(0)
    replace_in_footer(path, b"\x26" + zigzag(chunk.data_page_offset), b"\x26" + zigzag(10**12))
    assert "column 'text' of row group 0 is at bytes 1000000000000 to" in reason_of(tmp_path)


def test_row_groups_that_disagree_with_the_file_are_named(tmp_path: Path) -> None:
    table = pa.table({"text": [str(i) for i in range(700)]})
    path = write(tmp_path / "a.parquet", table, row_group_size=400, write_statistics=False)
    replace_in_footer(path, zigzag(700), zigzag(701))
    assert reason_of(tmp_path) == "damaged footer: its row groups have 700 rows, expected 701 as the file"


def test_names_that_are_not_utf8_are_a_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"text": ["x"], "abcdef": [1]}), store_schema=False)
    replace_in_footer(path, b"abcdef", b"abc\xffef")
    assert "damaged footer: 'utf-8' codec can't decode byte" in reason_of(tmp_path)

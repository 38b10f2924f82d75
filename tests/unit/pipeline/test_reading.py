import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import FragmentError
from pipeline.planning import Plan, plan_fragments
from pipeline.reading import read_fragment
from tests.unit.pipeline.input_files import job, rows, write


def read(plan: Plan) -> list[pa.Table]:
    return [read_fragment(f, plan.read_schema, plan.filesystem) for f in plan.fragments]


def read_at(path: Path, **options: Any) -> list[pa.Table]:
    return read(plan_fragments(job(path, **options)))


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    max_rows=st.integers(1, 50),
    max_bytes=st.integers(1, 3000),
)
def test_fragments_hold_every_row_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], max_rows: int, max_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("in") / "a.parquet"
    table = rows(sum(sizes))
    with pq.ParquetWriter(path, table.schema) as writer:
        for i, size in enumerate(sizes):
            writer.write_table(table.slice(sum(sizes[:i]), size))
    plan = plan_fragments(job(path, max_fragment_rows=max_rows, max_fragment_bytes=max_bytes))
    tables = read(plan)
    assert [t.num_rows for t in tables] == [f.num_rows for f in plan.fragments]
    assert pa.concat_tables([table.slice(0, 0), *tables]).equals(table)


def test_only_the_wanted_columns_are_read_in_their_order_in_one_chunk(tmp_path: Path) -> None:
    table = rows(100).append_column("text.more", pa.array(range(100)))
    write(tmp_path / "a.parquet", table, row_group_size=10)
    [found] = read_at(tmp_path, columns=["lang", "text"])
    assert found.column_names == ["lang", "text"]
    assert found.equals(table.select(["lang", "text"]))
    assert all(column.num_chunks == 1 for column in found.columns)
    [found] = read_at(tmp_path, columns=["text.more"])
    assert found.equals(table.select(["text.more", "text"]))


@pytest.mark.parametrize("max_rows", [7, 1000])
def test_columns_of_every_kind_come_back(tmp_path: Path, max_rows: int) -> None:
    table = rows(30)
    table = table.append_column("struct", pa.array([{"a": i, "b": [str(i)]} for i in range(30)]))
    table = table.append_column("lists", pa.array([[i] * (i % 3) for i in range(30)]))
    table = table.append_column(
        "maps", pa.array([[("k", i)] for i in range(30)], pa.map_(pa.string(), pa.int64()))
    )
    table = table.append_column("nulls", pa.nulls(30))
    table = table.append_column("large", pa.array(["ü"] * 30, pa.large_string()))
    table = table.append_column("category", table["lang"].dictionary_encode())
    write(tmp_path / "a.parquet", table, row_group_size=11)
    tables = read_at(tmp_path, max_fragment_rows=max_rows)
    decoded = [t.set_column(8, "category", t["category"].cast(pa.string())) for t in tables]
    assert pa.concat_tables(decoded).equals(table.set_column(8, "category", table["category"].cast(pa.string())))


def test_columns_are_read_as_the_type_that_the_files_agree_on(tmp_path: Path) -> None:
    table = rows(5)
    encoded = table["lang"].dictionary_encode()
    write(tmp_path / "a.parquet", table.set_column(1, "lang", encoded))
    write(tmp_path / "b.parquet", table.set_column(1, "lang", pa.nulls(5)))
    write(tmp_path / "c.parquet", table.set_column(1, "lang", table["lang"].cast(pa.large_string())))
    a, b, c = read_at(tmp_path)
    assert a.equals(table)
    assert c.equals(table)
    assert b["lang"].to_pylist() == [None] * 5
    assert a.schema == b.schema == c.schema


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows(100))
    plan = plan_fragments(job(path))
    os.utime(path, (0, 0))
    read(plan)
    for changed in (rows(101), rows(100, first=1)):
        write(path, changed)
        with pytest.raises(FragmentError, match=r"a\.parquet: the file has changed since the job"):
            read(plan)
    path.unlink()
    with pytest.raises(FragmentError, match=r"a\.parquet: rows 0 to 99 cannot be read: .*No such"):
        read(plan)


def test_damaged_pages_are_an_error_and_show_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows(200), compression="none", write_page_checksum=True)
    plan = plan_fragments(job(path))
    data = bytearray(path.read_bytes())
    place = data.index(b"row 77")
    data[place] ^= 0x20
    path.write_bytes(data)
    with pytest.raises(FragmentError, match=r"rows 0 to 199 cannot be read: .*checksum") as caught:
        read(plan)
    assert "ow 77" not in str(caught.value)


def test_a_file_cut_short_after_planning_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows(200))
    plan = plan_fragments(job(path))
    os.truncate(path, 500)
    with pytest.raises(FragmentError, match="does not end with PAR1"):
        read(plan)


def test_a_slice_reads_no_more_than_its_own_pages_and_those_before(tmp_path: Path) -> None:
    texts = [os.urandom(500).hex() for _ in range(8000)]
    write(tmp_path / "a.parquet", pa.table({"text": texts}), row_group_size=8000, compression="none")
    plan = plan_fragments(job(tmp_path, max_fragment_rows=400))
    filesystem = CountingFilesystem()
    first = read_fragment(plan.fragments[0], plan.read_schema, filesystem)
    assert first["text"].to_pylist() == texts[:400]
    assert 400 * 1000 < filesystem.num_bytes < 0.4 * plan.fragments[0].file_size


class CountingFilesystem:
    """Opens local files, and counts the bytes read from them."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(CountingFile(path, self), mode="r")


class CountingFile(io.FileIO):
    """A file that tells its file system how much of it is read."""

    def __init__(self, path: str, filesystem: CountingFilesystem) -> None:
        super().__init__(path)
        self.filesystem = filesystem

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.filesystem.num_bytes += len(data)
        return data

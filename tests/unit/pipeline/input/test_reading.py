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
from pipeline.input import reading
from pipeline.input.planning import Plan, plan_fragments
from pipeline.input.reading import FragmentReader
from tests.unit.pipeline.input.parquet_damage import write_with_claim
from tests.unit.pipeline.input_files import job, read_fragment, rows, write


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


def test_fields_are_read_by_path_from_whatever_holds_them(tmp_path: Path) -> None:
    texts = ["a", None, "ü"]
    nested = pa.array([{"body": "a", "id": 1}, None, {"body": "ü", "id": 2}])
    write(tmp_path / "a.parquet", pa.table({"doc": nested}))
    write(tmp_path / "b.parquet", pa.table({"doc.body": pa.array(texts, pa.large_string()), "doc": [0, 0, 0]}))
    write(tmp_path / "c.parquet", pa.table({"doc": pa.nulls(3)}))
    deep = pa.table({"doc": [{"other": 1}] * 3, "doc.body": pa.array(texts).dictionary_encode()})
    write(tmp_path / "d.parquet", deep)
    a, b, c, d = read_at(tmp_path, columns=[], text="doc.body")
    assert a.schema == pa.schema([("doc.body", pa.string())])
    assert a.equals(b)
    assert a.equals(d)
    assert a["doc.body"].to_pylist() == texts
    assert c["doc.body"].to_pylist() == [None] * 3


def test_a_field_is_read_next_to_the_column_that_holds_it(tmp_path: Path) -> None:
    docs = [{"body": f"b{i}", "meta": {"tags": ["x"] * i}} for i in range(30)]
    write(tmp_path / "a.parquet", pa.table({"id": range(30), "doc": docs}), row_group_size=7)
    [found] = read_at(tmp_path, text="doc.body", route="doc.meta.tags")
    assert found.column_names == ["id", "doc", "doc.body", "doc.meta.tags"]
    assert found["doc"].to_pylist() == docs
    assert found["doc.body"].to_pylist() == [doc["body"] for doc in docs]
    assert found["doc.meta.tags"].to_pylist() == [["x"] * i for i in range(30)]


def test_lists_are_read_as_the_type_that_the_files_agree_on(tmp_path: Path) -> None:
    words = [["a", "b"], None, ["c", None]]
    types = [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 2),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_view(pa.string_view()),
    ]
    for i, type_ in enumerate(types):
        if i == 3:
            items = pa.array(["a", "b", "c", None]).dictionary_encode()
            column = pa.ListArray.from_arrays(pa.array([0, None, 2, 4], pa.int32()), items)
        else:
            column = pa.array(words, type_)
        write(tmp_path / f"{i}.parquet", pa.table({"words": column}))
    write(tmp_path / "empty.parquet", pa.table({"words": pa.array([[], [None]], pa.list_(pa.null()))}))
    heads = {"pos": {"task": "token-classification", "words": "words"}}
    *tables, empty = read_at(tmp_path, heads=heads)
    for table in tables:
        assert table.schema == pa.schema([("words", pa.list_(pa.string()))])
        assert table["words"].to_pylist() == words
    assert empty["words"].to_pylist() == [[], [None]]


def test_keys_of_folders_are_columns(tmp_path: Path) -> None:
    write(tmp_path / "lang=de/year=__HIVE_DEFAULT_PARTITION__/a.parquet", rows(25).drop_columns(["lang"]))
    write(tmp_path / "lang=s%20w/year=01/a.parquet", rows(3).drop_columns(["lang"]))
    tables = read_at(tmp_path, hive=True, max_fragment_rows=10)
    assert [table.num_rows for table in tables] == [9, 9, 7, 3]
    assert all(table.column_names == ["id", "text", "lang", "year"] for table in tables)
    whole = pa.concat_tables(tables)
    assert whole["id"].to_pylist() == [*range(25), *range(3)]
    assert whole["lang"].to_pylist() == ["de"] * 25 + ["s w"] * 3
    assert whole["year"].to_pylist() == [None] * 25 + ["01"] * 3


def test_readers_find_the_keys_of_folders_in_the_output(tmp_path: Path) -> None:
    for lang, year in (("de", 2024), ("sw", 2023)):
        write(tmp_path / f"in/lang={lang}/year={year}/a.parquet", rows(2).drop_columns(["lang"]))
    plan = plan_fragments(job(tmp_path / "in", route="lang"))
    for fragment, table in zip(plan.fragments, read(plan), strict=True):
        write(tmp_path / "out" / fragment.part_path, table.select(plan.carried_schema.names))
    # A column of the same name in the parts would make this fail: it is no dictionary, or year no number.
    found = pq.read_table(tmp_path / "out")
    assert found.column_names == ["id", "text", "lang", "year"]
    assert found["lang"].to_pylist() == ["de", "de", "sw", "sw"]
    assert found["year"].to_pylist() == [2024, 2024, 2023, 2023]


def test_nothing_but_the_keys_of_folders_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "lang=de/a.parquet", rows(25).drop_columns(["lang"]), row_group_size=10)
    first, second = read_at(tmp_path, columns=[], text="lang", max_fragment_rows=20)
    assert first["lang"].to_pylist() == ["de"] * 20
    assert second.schema == pa.schema([("lang", pa.string())])
    assert second.num_rows == 5


def test_a_column_of_the_file_is_read_where_its_folder_says_the_same(tmp_path: Path) -> None:
    table = rows(3).set_column(1, "lang", pa.array(["de"] * 3, pa.large_string()))
    write(tmp_path / "lang=de/a.parquet", table)
    write(tmp_path / "lang=sw/b.parquet", rows(2).drop_columns(["lang"]))
    a, b = read_at(tmp_path, columns=["lang"])
    assert (a["lang"].to_pylist(), b["lang"].to_pylist()) == (["de"] * 3, ["sw"] * 2)
    [a] = read_at(tmp_path / "lang=de", columns=["lang"], hive=False)
    assert a["lang"].to_pylist() == ["de"] * 3


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


@pytest.mark.parametrize("name", ["doc.body", "body"])
def test_only_the_leaf_that_is_wanted_is_read(tmp_path: Path, name: str) -> None:
    big = [os.urandom(20_000) for _ in range(100)]
    docs = pa.array([{"body": f"b{i}", "big": value} for i, value in enumerate(big)])
    table = pa.table({"doc": docs, "body": [f"b{i}" for i in range(100)], "body.big": big})
    write(tmp_path / "a.parquet", table, compression="none")
    plan = plan_fragments(job(tmp_path, columns=[], text=name))
    filesystem = CountingFilesystem()
    [fragment] = plan.fragments
    found = read_fragment(fragment, plan.read_schema, filesystem)
    assert found[name].to_pylist() == [f"b{i}" for i in range(100)]
    assert fragment.file_size > 4_000_000
    assert filesystem.num_bytes < 200_000


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


@pytest.mark.parametrize("claimed", [778, 2000])
def test_pages_with_fewer_rows_than_the_footer_says_are_an_error(tmp_path: Path, claimed: int) -> None:
    path = tmp_path / "a.parquet"
    write_with_claim(path, pa.table({"text": [str(i) for i in range(777)]}), claimed)
    plan = plan_fragments(job(path, max_fragment_rows=500))
    assert plan.num_rows == claimed
    reader = FragmentReader(plan.read_schema, plan.filesystem)
    first, second, *_ = plan.fragments
    assert reader.read(first)["text"].to_pylist() == [str(i) for i in range(first.num_rows)]
    found, expected = 777 - first.num_rows, second.num_rows
    with pytest.raises(FragmentError, match=rf"rows \d+ to \d+ cannot be read: found {found} rows in the pages, "):
        reader.read(second)
    with pytest.raises(FragmentError, match=rf"expected {expected} as in the footer; restore the file"):
        reader.read(second)


def test_errors_of_any_type_are_the_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a text of a row")

    path = write(tmp_path / "a.parquet", rows(5))
    plan = plan_fragments(job(path))
    monkeypatch.setattr(reading, "arrow_schema", fail)
    with pytest.raises(FragmentError, match="rows 0 to 4 cannot be read: ValueError; restore the file"):
        read(plan)

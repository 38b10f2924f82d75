"""Carried columns of every type come out as they went in, or are refused by the plan."""

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import FragmentError, InputError
from pipeline.input.planning import plan_fragments
from pipeline.output.part_writer import conform, encode_part
from tests.unit.pipeline.input.arrays_of_every_type import LEAVES, NESTINGS, dictionaries, extension, lists
from tests.unit.pipeline.input_files import job, read_fragment


def carried(path: Path, **options: Any) -> list[pq.ParquetFile]:
    """The parts of a job on some files."""
    return [opened(part) for part in carried_bytes(path, **options)]


def opened(part: pa.Buffer) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(part))


def carried_bytes(path: Path, **options: Any) -> list[pa.Buffer]:
    plan = plan_fragments(job(path, **options))
    sent = pickle.loads(pickle.dumps(plan.read_schema))
    tables = [read_fragment(fragment, sent, plan.filesystem) for fragment in plan.fragments]
    schema = plan.carried_schema
    return [encode_part(conform(table.select(schema.names), schema, "part"), "zstd") for table in tables]


def numbers(array: pa.Array) -> list[Any]:
    """The values of an array as Python has them: floats and points in time by their bits."""
    type_ = array.type
    if isinstance(array, pa.ExtensionArray):
        return numbers(array.storage)
    if pa.types.is_dictionary(type_):
        return numbers(array.dictionary_decode())
    if pa.types.is_struct(type_):
        fields = [pa.array(array.field(i)) for i in range(type_.num_fields)]
        rows = list(zip(*(numbers(field) for field in fields), strict=True))
        return [rows[i] if array[i].is_valid else None for i in range(len(array))]
    if hasattr(type_, "value_type") or pa.types.is_map(type_):
        return [numbers(scalar.values) if scalar.is_valid else None for scalar in array]
    if pa.types.is_temporal(type_) or pa.types.is_floating(type_):
        return array.view(getattr(pa, f"int{type_.bit_width}")()).to_pylist()
    return array.to_pylist()


def values(tables: list[pa.Table], name: str) -> list[Any]:
    return [value for table in tables for value in numbers(table[name].combine_chunks())]


def types(tables: list[pa.Table], name: str) -> set[str]:
    """Parquet has no views, so that they come out as what they are views of."""
    return {str(table.schema.field(name).type).replace("_view", "") for table in tables}


def shape(file: pq.ParquetFile) -> tuple[tuple[str, str], ...]:
    """Names and logical types of the Parquet columns."""
    columns = [file.metadata.schema.column(i) for i in range(file.metadata.num_columns)]
    return tuple((column.path, str(column.logical_type)) for column in columns)


def read_groups(file: pq.ParquetFile) -> list[pa.Table]:
    """A row group at a time: Arrow cannot read nested dictionaries over several."""
    return [file.read_row_group(i) for i in range(file.num_row_groups)]


def write(path: Path, row_group_size: int = 1024, **columns: pa.Array) -> pq.ParquetFile:
    texts = pa.array(["text"] * len(next(iter(columns.values()))))
    pq.write_table(pa.table({"text": texts, **columns}), path / "a.parquet", row_group_size=row_group_size)
    return pq.ParquetFile(path / "a.parquet")


NUM_ROWS = 8


@pytest.mark.parametrize("max_rows", [2, 1000])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_come_out_as_they_went_in(tmp_path: Path, nesting: str, max_rows: int) -> None:
    columns = {}
    for name, leaf in LEAVES.items():
        if "view" in name and "struct" in nesting:
            continue  # Arrow cannot write slices of these itself
        column = NESTINGS[nesting](leaf)
        columns[name] = pa.concat_arrays([column, pa.nulls(NUM_ROWS - len(column), column.type)])
    file = write(tmp_path, row_group_size=3, **columns)
    expected, parts = read_groups(file), carried(tmp_path, max_fragment_rows=max_rows)
    found = [table for part in parts for table in read_groups(part)]
    for name in columns:
        assert values(found, name) == values(expected, name), name
        assert types(found, name) == types(expected, name), name
    assert {shape(part) for part in parts} == {shape(file)}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.RunEndEncodedArray.from_arrays([2], ["a"]),
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
        pa.nulls(1, pa.decimal128(5, -2)),
        pa.array([{}], pa.struct([])),
        pa.nulls(1, pa.binary(0)),
    ],
    ids=lambda column: str(column.type),
)
def test_no_file_that_arrow_writes_holds_other_types(column: pa.Array) -> None:
    with pytest.raises((pa.ArrowException, OSError)):
        pq.write_table(pa.table({"c": column}), pa.BufferOutputStream())


DICTIONARIES = [dictionaries(pa.int8(), ["b", "a", "not used"]), dictionaries(pa.int8(), ["c", "b"])]


@pytest.mark.parametrize("nesting", NESTINGS)
def test_dictionaries_that_differ_between_row_groups(tmp_path: Path, nesting: str) -> None:
    arrays = [NESTINGS[nesting](dictionary) for dictionary in DICTIONARIES]
    tables = [pa.table({"text": ["text"] * len(array), "c": array}) for array in arrays]
    with pq.ParquetWriter(tmp_path / "a.parquet", tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    expected = [value for array in arrays for value in numbers(array)]
    for max_rows in (1, 1000):
        parts = carried(tmp_path, max_fragment_rows=max_rows)
        assert values([table for part in parts for table in read_groups(part)], "c") == expected
    [part] = carried(tmp_path)
    assert "dictionary<values=string, indices=int8, ordered=0>" in str(part.schema_arrow.field("c").type)


def test_a_dictionary_of_too_many_values_for_its_type_is_named(tmp_path: Path) -> None:
    type_ = pa.dictionary(pa.int8(), pa.string())
    with pq.ParquetWriter(tmp_path / "a.parquet", pa.schema([("text", pa.string()), ("c", type_)])) as writer:
        for group in range(2):
            words = pa.array([f"{group} {i}" for i in range(100)])
            column = pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), words)
            writer.write_table(pa.table({"text": words, "c": column}))
    with pytest.raises(FragmentError, match=r"column 'c': .* requires a larger index type"):
        carried(tmp_path)
    assert len(carried(tmp_path, max_fragment_rows=100)) == 2


def test_types_of_parquet_that_arrow_does_not_keep_by_itself(tmp_path: Path) -> None:
    duckdb.sql(
        f"""COPY (SELECT 'text' AS text, uuid() AS id, [uuid()] AS ids, {{'j': '{{}}'::JSON}} AS nested,
        MAP {{'k': uuid()}} AS map, 'a'::ENUM('a') AS enum, '9999-12-31'::TIMESTAMP AS t, 1.5::DECIMAL(38, 9) AS n)
        TO '{tmp_path}/a.parquet' (FORMAT parquet)"""
    )
    file = pq.ParquetFile(tmp_path / "a.parquet")
    [part] = carried(tmp_path)
    assert shape(part) == shape(file)
    assert part.read().equals(file.read())


def annotated(path: Path, logical_type: int, converted_type: int) -> None:
    """Write a file whose column `c` of strings has another type of Parquet, by its numbers in parquet.thrift."""
    table = pa.table({"text": ["text"], "c": ["value"]})
    pq.write_table(table, path / "a.parquet", store_schema=False)
    # The name, then the converted and the logical type; those of strings are 0 and 1.
    string, other = (
        b"\x18\x01c\x25" + bytes([2 * converted, 0x4C, 16 * logical + 12, 0, 0, 0])
        for converted, logical in ((0, 1), (converted_type, logical_type))
    )
    data = (path / "a.parquet").read_bytes()
    assert data.count(string) == 1
    (path / "a.parquet").write_bytes(data.replace(string, other))


def test_enums_are_strings(tmp_path: Path) -> None:
    annotated(tmp_path, logical_type=4, converted_type=4)
    assert str(pq.read_metadata(tmp_path / "a.parquet").schema.column(1).logical_type) == "Enum"
    [part] = carried(tmp_path)
    assert part.read()["c"].to_pylist() == ["value"]
    assert str(part.metadata.schema.column(1).logical_type) == "String"
    plan = plan_fragments(job(tmp_path, heads={"v": {"task": "embedding", "text": "c"}}))
    assert plan.read_schema.field("c").type == pa.string()


def geometry(path: Path) -> None:
    class Geometry(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.binary(), "geoarrow.wkb")

        def __arrow_ext_serialize__(self) -> bytes:
            return b"{}"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Geometry":
            return cls()

    write(path, c=extension(Geometry(), [struct.pack("<bidd", 1, 1, 0.0, 0.0)]))


def by_duckdb(expression: str) -> Any:
    query = f"SELECT 'text' AS text, {expression} AS c"
    return lambda path: duckdb.sql(f"COPY ({query}) TO '{path}/a.parquet' (FORMAT parquet)")


REFUSED = {
    "INTERVAL": by_duckdb("INTERVAL 1 DAY"),
    "INTERVAL in a list": by_duckdb("[INTERVAL 1 DAY]"),
    "VARIANT": by_duckdb("1::VARIANT"),
    "BSON": lambda path: annotated(path, logical_type=13, converted_type=20),
    "UNDEFINED": lambda path: annotated(path, logical_type=15, converted_type=0),
    "GEOMETRY": geometry,
    "list of size 0": lambda path: write(path, c=pa.array([[], []], pa.list_(pa.int8(), 0))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_come_out_as_it_went_in_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    REFUSED[name](tmp_path)
    with pytest.raises(InputError, match=r"a\.parquet: column 'c' has .*; list the columns to carry, without it"):
        plan_fragments(job(tmp_path))
    assert len(plan_fragments(job(tmp_path, columns=[])).fragments) == 1


class OfALibrary(pa.ExtensionType):
    """An extension type that a library registers in those processes that import it."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        super().__init__(pa.struct([("a", pa.int64())]), "of.a.library")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "OfALibrary":
        return cls(serialized.decode())


@pytest.fixture
def registered() -> Iterator[None]:
    pa.register_extension_type(OfALibrary("M"))
    yield
    pa.unregister_extension_type("of.a.library")


@pytest.mark.parametrize("nesting", NESTINGS)
def test_extension_types_of_libraries_are_kept_whether_registered_or_not(
    tmp_path: Path, nesting: str, request: pytest.FixtureRequest
) -> None:
    column = NESTINGS[nesting](extension(OfALibrary("M"), [{"a": 1}, {"a": None}]))
    file = write(tmp_path, c=column)
    unregistered_plan = plan_fragments(job(tmp_path))
    [unregistered_part] = carried_bytes(tmp_path)
    assert types(read_groups(opened(unregistered_part)), "c") == types(read_groups(file), "c")
    request.getfixturevalue("registered")
    plan = plan_fragments(job(tmp_path))
    assert plan.carried_schema.equals(unregistered_plan.carried_schema, check_metadata=True)
    [part] = carried_bytes(tmp_path)
    assert part.equals(unregistered_part)
    tables = read_groups(opened(part))
    assert "OfALibrary" in str(tables[0].schema)
    assert values(tables, "c") == numbers(column)


def test_extension_types_that_differ_are_refused_by_name(tmp_path: Path) -> None:
    for name, unit in (("months", "M"), ("days", "D")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, c=lists(extension(OfALibrary(unit), [{"a": 1}])))
    with pytest.raises(InputError, match=r"\(extension of\.a\.library M\), in .* \(extension of\.a\.library D\)"):
        plan_fragments(job(tmp_path))


def test_types_of_pandas_and_polars(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "period": pandas.period_range("2020-01", periods=2, freq="M"),
            "interval": pandas.interval_range(0, 2),
            "category": pandas.Categorical(["low", "high"], ["low", "high", "not used"], ordered=True),
        }
    )
    (tmp_path / "pandas").mkdir()
    frame.assign(text="text").to_parquet(tmp_path / "pandas/a.parquet")
    [part] = carried(tmp_path / "pandas")
    found = part.read().drop_columns(["text"]).to_pandas()
    pandas.testing.assert_frame_equal(found, frame)

    table = polars.DataFrame(
        {"text": ["a", "b"], "enum": ["a", "b"], "category": ["a", None], "lists": [["a"], ["b", None]]},
        schema_overrides={
            "enum": polars.Enum(["b", "a"]),
            "category": polars.Categorical,
            "lists": polars.List(polars.Enum(["a", "b", "c"])),
        },
    )
    (tmp_path / "polars").mkdir()
    table.write_parquet(tmp_path / "polars/a.parquet")
    [part] = carried(tmp_path / "polars")
    with (tmp_path / "part.parquet").open("wb") as file:
        pq.write_table(part.read(), file)
    found = polars.read_parquet(tmp_path / "part.parquet")
    assert found.schema == table.schema
    assert found.equals(table)

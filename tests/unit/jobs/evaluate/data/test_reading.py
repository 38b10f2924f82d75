"""Columns that are read, and what is refused."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.data.files import DataFiles, files_of_split
from jobs.evaluate.data.reading import Column, Rows, Shape, read_rows
from pipeline.errors import InputError
from tests.unit.jobs.evaluate.hub_files import class_label, write


def read(folder: Path, columns: dict[str, Column]) -> Rows:
    files = DataFiles.open(str(folder))
    return read_rows(files, files_of_split(files.files, "test"), columns)


def read_column(folder: Path, values: pa.Array, shape: Shape) -> pa.ChunkedArray:
    write(folder / "test.parquet", {"x": values})
    return read(folder, {"role": Column("x", shape)}).columns["role"]


@pytest.mark.parametrize(
    ("type_", "shape", "expected"),
    [
        (pa.string(), "text", pa.string()),
        (pa.large_string(), "text", pa.string()),
        (pa.dictionary(pa.int32(), pa.string()), "text", pa.string()),
        (pa.null(), "text", pa.string()),
        (pa.string(), "class", pa.string()),
        (pa.int8(), "class", pa.int64()),
        (pa.list_(pa.uint16()), "classes", pa.list_(pa.int64())),
        (pa.large_list(pa.large_string()), "texts", pa.list_(pa.string())),
        (pa.float32(), "number", pa.float64()),
        (pa.int64(), "number", pa.float64()),
        (pa.int32(), "integer", pa.int64()),
        (pa.int64(), "text", None),
        (pa.float64(), "class", None),
        (pa.bool_(), "class", None),
        (pa.string(), "texts", None),
        (pa.list_(pa.int64()), "texts", None),
        (pa.string(), "number", None),
        (pa.string(), "integer", None),
        (pa.float64(), "integer", None),
    ],
)
def test_types(tmp_path: Path, type_: pa.DataType, shape: Shape, expected: pa.DataType | None) -> None:
    values = pa.nulls(2, type_)
    if expected is not None:
        column = read_column(tmp_path, values, shape)
        assert column.type == expected
        assert column.null_count == 2
        return
    with pytest.raises(InputError, match=r"--data: test.parquet: column 'x' has type .*, expected .*; name other"):
        read_column(tmp_path, values, shape)


def test_missing_column_is_named_with_its_option(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", {"premises": ["a"], "label": [0]})
    with pytest.raises(InputError) as error:
        read(tmp_path, {"text": Column("premise", "text", "--text")})
    assert str(error.value) == (
        "--text: test.parquet: column 'premise' is missing; did you mean 'premises'? The file has: premises, "
        "label; expected string; name a column that is there, or other files"
    )


def test_shards_are_joined_in_order_over_row_groups(tmp_path: Path) -> None:
    for shard in range(3):
        write(tmp_path / f"test-{shard:05}-of-00003.parquet", {"x": [f"{shard}{row}" for row in "abc"]})
    rows = read(tmp_path, {"x": Column("x", "text")})
    assert rows.columns["x"].to_pylist() == ["0a", "0b", "0c", "1a", "1b", "1c", "2a", "2b", "2c"]
    assert rows.num_rows == 9


def test_shards_of_other_types_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "test-00000-of-00002.parquet", {"x": ["a"]})
    write(tmp_path / "test-00001-of-00002.parquet", {"x": [1]})
    with pytest.raises(
        InputError, match=r"00001-of-00002.parquet: column 'x' has type int64, expected string as in"
    ):
        read(tmp_path, {"x": Column("x", "class")})


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda label: label,
        lambda label: {"feature": label, "length": -1, "_type": "Sequence"},
        lambda label: {"feature": label, "_type": "List"},
        lambda label: [label],
    ],
)
def test_class_names_from_the_metadata(tmp_path: Path, wrapped: Any) -> None:
    write(tmp_path / "test.parquet", {"x": [0], "y": [1]}, {"x": wrapped(class_label("no", "yes"))})
    rows = read(tmp_path, {"gold": Column("x", "class"), "other": Column("y", "class")})
    assert rows.class_names == {"gold": ("no", "yes")}


def test_shards_with_other_class_names_are_refused(tmp_path: Path) -> None:
    for shard, names in enumerate([("no", "yes"), ("yes", "no")]):
        write(tmp_path / f"test-{shard:05}-of-00002.parquet", {"x": [0]}, {"x": class_label(*names)})
    with pytest.raises(InputError, match=r"other class names than .*, expected files of one export; fetch"):
        read(tmp_path, {"x": Column("x", "class")})


def test_metadata_of_other_kinds_has_no_class_names(tmp_path: Path) -> None:
    for features in ({"x": {"dtype": "int64", "_type": "Value"}}, {"x": None}, {}):
        write(tmp_path / "test.parquet", {"x": [0]}, features)
        assert read(tmp_path, {"x": Column("x", "class")}).class_names == {}
    write(tmp_path / "test.parquet", pa.table({"x": [0]}).replace_schema_metadata({"huggingface": "[1"}))
    assert read(tmp_path, {"x": Column("x", "class")}).class_names == {}


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        InputError, match=r"--data: test.parquet cannot be read: no Parquet file.*; expected a Parq"
    ):
        read(tmp_path, {"x": Column("x", "text")})


def test_file_without_rows(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet", pa.table({"x": pa.array([], pa.string())}))
    assert read(tmp_path, {"x": Column("x", "text")}).num_rows == 0

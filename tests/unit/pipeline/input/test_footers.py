from collections.abc import Callable
from pathlib import Path

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import UnreadableFileError
from pipeline.input.footers import Footer, read_footer
from pipeline.input.parquet_types import arrow_schema
from tests.unit.pipeline.encrypted_files import write_encrypted
from tests.unit.pipeline.input_files import rows, write


def footer_of(path: Path) -> Footer:
    with fs.LocalFileSystem().open_input_file(str(path)) as file:
        return read_footer(file)


def test_is_what_pyarrow_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows(100), row_group_size=30)
    footer = footer_of(path)
    assert footer.metadata.equals(pq.read_metadata(path))
    assert footer.file_size == path.stat().st_size


def test_a_footer_longer_than_the_first_read(tmp_path: Path) -> None:
    table = pa.table({f"column_{i:04d}": [i] for i in range(1000)})
    path = write(tmp_path / "wide.parquet", table)
    footer = footer_of(path)
    assert footer.metadata.serialized_size > 64 * 1024
    assert footer.metadata.num_columns == 1000


def test_the_version_is_of_the_content_and_not_of_the_time(tmp_path: Path) -> None:
    first = footer_of(write(tmp_path / "a.parquet", rows(100)))
    again = footer_of(write(tmp_path / "b.parquet", rows(100)))
    changed = footer_of(write(tmp_path / "a.parquet", rows(100, first=1)))
    assert first.version == again.version
    assert first.file_size == again.file_size
    assert first.version != changed.version


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "0 bytes, expected 12 or more"),
        (lambda data: b"PAR1", "4 bytes, expected 12 or more"),
        (lambda data: data[: len(data) // 2], "does not end with PAR1"),
        (lambda data: b"id,text\n1,something long enough\n", "does not end with PAR1"),
        (lambda data: data[:-4] + b"PARE", "footer is encrypted"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", "a footer of 2147483647 bytes"),
        (lambda data: data[:-60] + b"\xff" * 52 + data[-8:], "damaged footer"),
        (lambda data: data[:-8] + b"\x00\x00\x00\x00PAR1", "damaged footer"),
    ],
)
def test_refuses_what_is_no_parquet_file(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    path = write(tmp_path / "a.parquet", rows(100))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableFileError, match=reason):
        footer_of(path)


class Broken(pa.ExtensionType):
    """An extension type whose parameters cannot be read."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "broken")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Broken":
        raise TypeError("no such unit")


def test_types_that_arrow_cannot_read_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    polars.DataFrame({"text": ["a"], "count": [1]}, schema_overrides={"count": polars.Int128}).write_parquet(path)
    with pytest.raises(UnreadableFileError, match=r"^a column has an Arrow type .*: Integers with more than 64"):
        footer_of(path)


def test_classes_of_extension_types_are_not_asked(tmp_path: Path) -> None:
    metadata = {"ARROW:extension:name": "broken", "ARROW:extension:metadata": "x"}
    fields = [pa.field("a" * length, pa.string(), metadata=metadata) for length in range(1, 5)]
    schema = pa.schema([*fields, pa.field("id", pa.uuid())])
    path = write(
        tmp_path / "a.parquet", pa.Table.from_arrays([pa.nulls(1, f.type) for f in schema], schema=schema)
    )
    pa.register_extension_type(Broken())
    try:
        found = arrow_schema(footer_of(path).metadata)
    finally:
        pa.unregister_extension_type("broken")
    assert found.equals(schema, check_metadata=True)


@pytest.mark.parametrize(
    ("encrypted", "leaves"),
    [(["secret"], {1}), (["doc.a", "doc.b.list.element"], {2, 3}), (["text", "doc.a"], {0, 2})],
)
def test_encrypted_columns_are_known_without_asking_for_them(
    tmp_path: Path, encrypted: list[str], leaves: set[int]
) -> None:
    table = pa.table({"text": ["a"] * 5, "secret": ["b"] * 5, "doc": [{"a": 1, "b": ["x"]}] * 5})
    path = write_encrypted(tmp_path / "a.parquet", table, encrypted)
    footer = footer_of(path)
    assert footer.encrypted_leaves == leaves
    assert footer.metadata.num_rows == 5
    assert footer_of(write(path, table)).encrypted_leaves == set()

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import OutputError
from pipeline.fragments import Fragment
from pipeline.output.manifest import Manifest, PartRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import conform, encode_part, finish_part
from tests.unit.pipeline.input_files import rows

LOCAL = fs.LocalFileSystem()
FRAGMENT = Fragment("/in/a/p.parquet", "a/p.parquet", 1000, "0123456789abcdef", 0, 1, (0,), 0, 0, 50, 1000, "m")


def predictions(num_rows: int = 50) -> pa.Table:
    values = np.random.default_rng(0).standard_normal(num_rows * 16).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), 16)
    topic = pa.array([{"label": "a", "score": 0.5, "logits": [1.0, 2.0]}] * num_rows)
    return rows(num_rows).append_column("vector", vectors).append_column("topic", topic)


def finished(root: Path) -> PartRecord:
    folder, data = OutputFolder(LOCAL, str(root)), encode_part(predictions(), "zstd")
    return finish_part(folder, FRAGMENT, data, staged_inputs=(), num_errors=1, num_tokens=2)


def test_writes_the_rows_and_records_what_it_wrote(tmp_path: Path) -> None:
    written = finished(tmp_path)
    path = tmp_path / FRAGMENT.part_path
    assert pq.read_table(path).equals(predictions())
    assert written.num_bytes == path.stat().st_size
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Manifest(OutputFolder(LOCAL, str(tmp_path))).part(FRAGMENT.part_path) == written


def test_equal_rows_give_equal_bytes_however_they_are_held() -> None:
    table = predictions()
    expected = encode_part(table, "zstd")
    chunked = pa.concat_tables([table[:7], table[7:33], table[33:]])
    sliced = pa.concat_tables([table, table])[50:]
    named = table.replace_schema_metadata({"pandas": "{}"})
    for other in (chunked, sliced, named, predictions()):
        assert encode_part(other, "zstd").equals(expected)
    assert not encode_part(table.take(list(reversed(range(50)))), "zstd").equals(expected)


def test_a_part_is_one_row_group_with_dictionaries_for_all_but_floats() -> None:
    table = pa.concat_tables([predictions()] * 3)
    metadata = pq.read_metadata(pa.BufferReader(encode_part(table, "zstd")))
    assert (metadata.num_row_groups, metadata.num_rows) == (1, 150)
    group = metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    with_dictionary = [path for path, column in columns.items() if column.has_dictionary_page]
    assert with_dictionary == ["id", "lang", "text", "topic.label"]
    assert {column.compression for column in columns.values()} == {"ZSTD"}


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "none"])
def test_every_compression_of_the_configuration_works(compression: str) -> None:
    data = encode_part(predictions(), compression)
    assert pq.read_table(pa.BufferReader(data)).equals(predictions())


def test_damage_to_a_part_is_noticed_by_its_checksums() -> None:
    data = bytearray(encode_part(predictions(), "none").to_pybytes())
    data[data.index(b"row 33")] ^= 1
    with pytest.raises(OSError, match="checksum"):
        pq.read_table(pa.BufferReader(bytes(data)), page_checksum_verification=True)


def test_a_part_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OutputError, match=r"a/p\..*\.parquet cannot be written"):
        finished(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


class TestConform:
    schema = pa.schema([("a", pa.int32()), ("b", pa.list_(pa.float32(), 2))])

    def test_orders_and_casts(self) -> None:
        table = pa.table({"b": [[1.0, 2.0]], "a": pa.array([5], pa.int64())})
        found = conform(table, self.schema, "p")
        assert found.schema.equals(self.schema)
        assert found.to_pylist() == [{"a": 5, "b": [1.0, 2.0]}]

    def test_null_columns_take_the_type(self) -> None:
        found = conform(pa.table({"a": pa.nulls(2), "b": pa.nulls(2)}), self.schema, "p")
        assert found.schema.equals(self.schema)
        assert found["b"].null_count == 2

    def test_refuses_other_columns(self) -> None:
        with pytest.raises(OutputError, match=r"p: the block lacks columns \['b'\] and has \['c'\]"):
            conform(pa.table({"a": [1], "c": [1]}), self.schema, "p")

    @pytest.mark.parametrize("column", [pa.array([2**40]), pa.array(["secret"]), pa.array([{"x": 1}])], ids=str)
    def test_refuses_values_that_do_not_fit_without_showing_them(self, column: pa.Array) -> None:
        table = pa.table({"a": column, "b": [[1.0, 2.0]]})
        with pytest.raises(OutputError, match=r"p: column 'a' has type .* of the output, int32") as caught:
            conform(table, self.schema, "p")
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None

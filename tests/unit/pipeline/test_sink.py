import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from ray.data._internal.execution.interfaces import TaskContext

from pipeline.blocks import with_keys
from pipeline.columns import SECONDS, output_schema, sequence_column
from pipeline.errors import OutputError
from pipeline.fragments import Cut, Fragment, file_fragments
from pipeline.manifest import Manifest, PartRecord
from pipeline.sink import PartSink
from tests.unit.pipeline.input_files import rows

[FRAGMENT] = file_fragments("/in/x/a.parquet", "x/a.parquet", 99, "v1", [Cut((0,), 0, 0, 4, 40)])
SCHEMA = output_schema(rows(0).schema, {"value": pa.float32()})
CONTEXT = TaskContext(task_idx=0, op_name="Write")


def finished_block(fragment: Fragment = FRAGMENT) -> pa.Table:
    """A block as it leaves the model: rows, keys, results, and a column in between."""
    table = with_keys(rows(4), fragment)
    for name, values, type_ in [
        (sequence_column(0), [[1], [2], None, [3]], pa.list_(pa.int32())),
        ("value", [0.5, 1.5, None, 2.5], pa.float64()),
        ("error", [None, None, "bad", None], pa.string()),
        ("num_windows", [1, 1, 0, 1], pa.int64()),
        ("num_tokens", [10, 20, None, 30], pa.int32()),
    ]:
        table = table.append_column(name, pa.array(values, type_))
    return table


def sink(root: Path) -> PartSink:
    return PartSink(fs.LocalFileSystem(), str(root), SCHEMA)


def test_writes_the_part_and_then_its_record(tmp_path: Path) -> None:
    [record] = sink(tmp_path).write([finished_block()], CONTEXT)
    part = tmp_path / "x/a.00000-of-00001.parquet"
    assert record == PartRecord(
        part_path="x/a.00000-of-00001.parquet",
        input_path="x/a.parquet",
        input_version="v1",
        first_row=0,
        num_rows=4,
        num_bytes=part.stat().st_size,
        sha256=hashlib.sha256(part.read_bytes()).hexdigest(),
        num_errors=1,
        num_tokens=60,
        seconds=None,
    )
    table = pq.read_table(part)
    assert table.schema.equals(SCHEMA)
    assert table["value"].to_pylist() == [0.5, 1.5, None, 2.5]
    manifest = Manifest(fs.LocalFileSystem(), str(tmp_path))
    assert manifest.finished() == {record.part_path: record}


def test_a_retry_gives_the_same_bytes(tmp_path: Path) -> None:
    timed = finished_block().append_column(SECONDS, pa.array([2.0] * 4))
    [first] = sink(tmp_path).write([finished_block()], CONTEXT)
    [second] = sink(tmp_path).write([pa.concat_tables([timed[:1], timed[1:]])], CONTEXT)
    assert second.sha256 == first.sha256
    assert (first.seconds, second.seconds) == (None, 2.0)


def test_tells_of_a_part_when_it_is_recorded(tmp_path: Path) -> None:
    manifest = Manifest(fs.LocalFileSystem(), str(tmp_path))
    told: list[PartRecord] = []

    def tell(record: PartRecord) -> None:
        assert manifest.finished() == {record.part_path: record}
        told.append(record)

    local = fs.LocalFileSystem()
    records = PartSink(local, str(tmp_path), SCHEMA, "snappy", tell).write([finished_block()], CONTEXT)
    assert told == records


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (finished_block()[:3], "not rows 0 to 3"),
        (finished_block().drop_columns(["value"]), r"lacks columns \['value'\]"),
        (finished_block().append_column("__extra", pa.nulls(4)), r"has \['__extra'\] too many"),
    ],
    ids=["rows", "missing column", "unknown column"],
)
def test_what_is_refused_leaves_neither_part_nor_record(tmp_path: Path, block: pa.Table, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        sink(tmp_path).write([block], CONTEXT)
    assert list(tmp_path.iterdir()) == []


def test_a_part_without_a_record_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def record(self: Manifest, part: PartRecord) -> None:
        assert (tmp_path / part.part_path).is_file()
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "record", record)
        with pytest.raises(OutputError, match="the disk is full"):
            sink(tmp_path).write([finished_block()], CONTEXT)
    manifest = Manifest(fs.LocalFileSystem(), str(tmp_path))
    assert manifest.finished() == {}
    sink(tmp_path).write([finished_block()], CONTEXT)
    assert len(manifest.finished()) == 1

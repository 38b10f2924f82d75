import hashlib
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from ray.data._internal.execution.interfaces import TaskContext

from pipeline.columns import output_schema, sequence_column
from pipeline.errors import OutputError
from pipeline.fragments import Cut, Fragment
from pipeline.monitoring.tallies import Tally
from pipeline.output.manifest import Manifest, PartRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.stages.blocks import with_keys
from pipeline.stages.write import PartSink
from tests.unit.pipeline.input_files import file_fragments, rows, tree

LOCAL = fs.LocalFileSystem()
CUTS = [Cut((0,), 0, 0, 4, 40)]
[FRAGMENT] = file_fragments("/in/x/a.parquet", "x/a.parquet", 99, "0123456789abcdef", CUTS, "m")
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
    return PartSink(OutputFolder(LOCAL, str(root)), SCHEMA)


PART = "x/a.01234567.00000-of-00001.parquet"


def record_in(root: Path, *, is_staged: bool = False) -> PartRecord | None:
    return Manifest(OutputFolder(LOCAL, str(root))).part(PART, is_staged=is_staged)


def test_writes_the_part_and_then_its_record(tmp_path: Path) -> None:
    sink(tmp_path).write([finished_block()], CONTEXT)
    part = tmp_path / PART
    assert record_in(tmp_path) == PartRecord(
        part_path=PART,
        input_path="x/a.parquet",
        input_version="0123456789abcdef",
        input_mark="m",
        first_row=0,
        num_rows=4,
        num_bytes=part.stat().st_size,
        sha256=hashlib.sha256(part.read_bytes()).hexdigest(),
        num_errors=1,
        num_tokens=60,
        versions={"xlmr-ray": version("xlmr-ray"), "torch": version("torch"), "pyarrow": pa.__version__},
    )
    table = pq.read_table(part)
    assert table.schema.equals(SCHEMA)
    assert table["value"].to_pylist() == [0.5, 1.5, None, 2.5]


def test_a_retry_gives_the_same_bytes(tmp_path: Path) -> None:
    block = finished_block()
    sink(tmp_path).write([block], CONTEXT)
    first = tree(tmp_path)
    sink(tmp_path).write([pa.concat_tables([block[:1], block[1:]])], CONTEXT)
    assert tree(tmp_path) == first


def test_a_staged_part_is_hidden_until_it_is_moved(tmp_path: Path) -> None:
    for is_hidden, staged, path in [
        (False, "x/a.parquet", f"_staged/{PART}.staged"),
        (True, "a.parquet", f"{PART}.staged"),
    ]:
        root = tmp_path / str(is_hidden) / "out"
        folder = OutputFolder(LOCAL, str(root), is_hidden=is_hidden)
        PartSink(folder, SCHEMA, staged_inputs=[staged]).write([finished_block()], CONTEXT)
        assert pq.read_table(root / path).num_rows == 4
        assert not list(root.rglob("*.parquet"))
        found = record_in(root, is_staged=not is_hidden)
        assert found is not None
        assert found.num_bytes == (root / path).stat().st_size


def test_tells_of_a_part_when_it_is_recorded(tmp_path: Path) -> None:
    told: list[PartRecord] = []

    def tell(record: PartRecord, tally: Tally) -> None:
        assert record_in(tmp_path) == record
        assert (tally.num_windows, tally.errors) == (3, {"other": 1})
        told.append(record)

    PartSink(OutputFolder(LOCAL, str(tmp_path)), SCHEMA, "snappy", on_part=tell).write([finished_block()], CONTEXT)
    assert told == [record_in(tmp_path)]


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
    def record(self: Manifest, part: PartRecord, *, is_staged: bool) -> None:
        assert (tmp_path / part.part_path).is_file()
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "record", record)
        with pytest.raises(OutputError, match="the disk is full"):
            sink(tmp_path).write([finished_block()], CONTEXT)
    assert (tmp_path / PART).is_file()
    assert record_in(tmp_path) is None
    sink(tmp_path).write([finished_block()], CONTEXT)
    assert record_in(tmp_path) is not None

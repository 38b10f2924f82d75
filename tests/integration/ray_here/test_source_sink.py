"""Fragments through a real Ray dataset: what is read is what is written, one block a fragment."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import ray
from pyarrow import fs
from ray.data import ActorPoolStrategy, DataContext

from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, output_schema
from pipeline.errors import OutputError
from pipeline.input.planning import Plan, plan_fragments
from pipeline.output.inventory import Inventory
from pipeline.output.output_folder import OutputFolder
from pipeline.stages.read import read_fragments
from pipeline.stages.write import PartSink
from tests.unit.pipeline.input_files import job, rows, write

NUM_FRAGMENTS = 30
NUM_FILES = 6
LOCAL = fs.LocalFileSystem()

# Ray warns of options of its own that nobody has set.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module", autouse=True)
def no_progress_bars() -> Iterator[None]:
    DataContext.get_current().enable_progress_bars = False
    yield
    DataContext.get_current().enable_progress_bars = True


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Thirty fragments of six files: slices of row groups, gathered row groups, whole files."""
    root = tmp_path_factory.mktemp("in")
    for i in range(NUM_FILES):
        table = rows(250, first=250 * i)
        views = table["lang"].cast(pa.string_view())
        table = table.append_column("view", views)
        table = table.append_column("category", table["lang"].dictionary_encode())
        uuids = pa.uuid().wrap_array(pa.array([i.to_bytes(16) for i in range(250)], pa.binary(16)))
        table = table.append_column("ids", pa.ListArray.from_arrays(pa.array(range(251), pa.int32()), uuids))
        maps = pa.map_(pa.string(), pa.null(), keys_sorted=True)
        table = table.append_column("maps", pa.array([[("k", None)]] * 250, maps))
        write(root / f"lang{i % 2}" / f"{i}.parquet", table, row_group_size=[10, 50, 250][i % 3])
    plan = plan_fragments(job(root, max_fragment_rows=50))
    assert len(plan.fragments) == NUM_FRAGMENTS
    return plan


def annotate(table: pa.Table) -> pa.Table:
    """Stands for the model: the columns that every row has, and one head."""
    lengths = np.array([len(text) for text in table["text"].to_pylist()], dtype=np.int32)
    errors = ["odd" if length % 7 == 0 else None for length in lengths]
    new = {
        NUM_TOKENS: pa.array(lengths),
        NUM_WINDOWS: pa.array(np.ones_like(lengths)),
        ERROR: pa.array(errors, pa.string()),
        "half": pa.array(lengths / 2),
    }
    for name, column in new.items():
        table = table.append_column(name, column)
    return table


class Annotator:
    """`annotate` in an actor, as the model is: blocks pass the object store on both sides."""

    def __call__(self, table: pa.Table) -> pa.Table:
        return annotate(table)


class RowDropper:
    """An annotator that loses a row."""

    def __call__(self, table: pa.Table) -> pa.Table:
        return annotate(table)[1:]


def run(plan: Plan, output: Path, annotator: type = Annotator) -> None:
    schema = output_schema(plan.carried_schema, {"half": pa.float32()})
    dataset = read_fragments(plan.fragments, plan.read_schema, plan.filesystem)
    dataset = dataset.map_batches(
        annotator,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0.5,
        compute=ActorPoolStrategy(size=2),
    )
    dataset.write_datasink(PartSink(OutputFolder(LOCAL, str(output)), schema, metadata={}))


def part_bytes(output: Path) -> dict[str, bytes]:
    return {str(p.relative_to(output)): p.read_bytes() for p in output.rglob("*.parquet")}


def test_a_block_is_a_fragment_all_the_way(plan: Plan) -> None:
    dataset = read_fragments(plan.fragments, plan.read_schema, plan.filesystem)
    dataset = dataset.map_batches(lambda table: table, batch_size=None, batch_format="pyarrow")
    blocks = [ray.get(ref) for bundle in dataset.iter_internal_ref_bundles() for ref in bundle.block_refs]
    assert sorted(block.num_rows for block in blocks) == sorted(f.num_rows for f in plan.fragments)
    assert sum(block.num_rows for block in blocks) == plan.num_rows


@pytest.fixture(scope="module")
def output(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run."""
    output = tmp_path_factory.mktemp("out")
    # Ray splits blocks over this size, unless told otherwise.
    context = DataContext.get_current()
    usual, context.target_max_block_size = context.target_max_block_size, 2000
    try:
        run(plan, output)
    finally:
        context.target_max_block_size = usual
    return output


def test_every_row_comes_out_in_place(plan: Plan, output: Path) -> None:
    assert sorted(part_bytes(output)) == sorted(f.part_path for f in plan.fragments)
    for fragment in plan.fragments:
        part = pq.read_table(output / fragment.part_path)
        source = pq.read_table(fragment.path)[fragment.first_row :][: fragment.num_rows]
        for field in plan.carried_schema:
            expected = source[field.name].cast(pa.string()) if field.name == "view" else source[field.name]
            assert part[field.name].type == field.type == expected.type
            assert part[field.name].equals(expected)
        lengths = [len(text) for text in source["text"].to_pylist()]
        assert part["half"].to_pylist() == [length / 2 for length in lengths]
        assert part.column_names[-4:] == ["num_tokens", "num_windows", "error", "half"]
    assert ds.dataset(output, format="parquet").count_rows() == plan.num_rows
    assert not list((output / "_incomplete").glob("*"))

    inventory = Inventory(OutputFolder(LOCAL, str(output)), plan.fragments)
    assert inventory.is_done.all()
    table = ds.dataset(output, format="parquet").to_table()
    assert inventory.num_tokens.sum() == sum(table["num_tokens"].to_pylist())
    assert inventory.num_errors.sum() == table["error"].to_pylist().count("odd")
    assert ray.data.read_parquet(str(output)).count() == plan.num_rows


def test_a_second_run_writes_the_same_bytes(plan: Plan, output: Path, tmp_path: Path) -> None:
    second = shutil.copytree(output, tmp_path / "second")
    os.unlink(second / plan.fragments[3].part_path)
    run(plan, second)
    assert part_bytes(second) == part_bytes(output)


def test_a_block_that_is_not_whole_is_refused_and_not_written(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not rows 0 to 49 of the fragment") as caught:
        run(plan, tmp_path, RowDropper)
    assert isinstance(caught.value, OutputError) or "OutputError" in str(caught.value)
    assert part_bytes(tmp_path) == {}
    assert not list(tmp_path.rglob("*.json"))

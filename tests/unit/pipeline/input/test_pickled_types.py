"""Extension types of Ray whose values or parameters are pickles: nobody runs them, here or in the output."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType
from ray.data._internal.tensor_extensions import arrow as tensors
from ray.data.extensions import ArrowTensorTypeV2

from pipeline.arrays.column_types import packed, unpacked
from pipeline.input.planning import plan_fragments
from pipeline.output.part_writer import conform, encode_part
from tests.unit.pipeline.input_files import job, read_fragment

ran: list[str] = []


class Bomb:
    """An object whose pickle tells that it was run."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return ran.append, ("ran",)


BOMB = pickle.dumps(Bomb())
NAME, PARAMETERS = b"ARROW:extension:name", b"ARROW:extension:metadata"


def as_extension(name: str, storage: pa.Array, parameters: bytes) -> tuple[pa.Field, pa.Array]:
    return pa.field("x", storage.type, metadata={NAME: name.encode(), PARAMETERS: parameters}), storage


OBJECTS = as_extension("ray.data.arrow_pickled_object", pa.array([BOMB, None], pa.large_binary()), b"")
TENSORS = as_extension("ray.data.arrow_tensor_v2", pa.array([[1, 2], [3, 4]], pa.large_list(pa.int64())), BOMB)
OLD = as_extension("arrow.py_extension_type", pa.array(["a", "b"]), BOMB)


def written_part(folder: Path, field: pa.Field, column: pa.Array) -> pa.Table:
    """The part of a file with this column, as a reader that knows Ray's types takes it."""
    texts = pa.array(["a", "b"])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), column, type=pa.list_(field))
    schema = pa.schema([field, pa.field("lists", lists.type), pa.field("text", texts.type)])
    # By the storage, so that nothing is run when the file is written.
    pq.write_table(pa.Table.from_arrays([column, lists, texts], schema=schema), folder / "a.parquet")
    plan = plan_fragments(job(folder))
    [fragment] = plan.fragments
    table = read_fragment(fragment, plan.read_schema, plan.filesystem)
    kept = unpacked(packed(plan.carried_schema))
    part = encode_part(conform(table.select(kept.names), kept, "part"), "zstd")
    return pq.read_table(pa.BufferReader(part))


@pytest.fixture
def rays_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's types are registered, and it may unpickle."""
    for type_ in (ArrowPythonObjectType(), ArrowTensorTypeV2((2,), pa.int64())):
        with suppress(pa.ArrowKeyError):
            pa.register_extension_type(type_)
    monkeypatch.setattr(tensors, "_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA", True)
    ran.clear()


@pytest.mark.usefixtures("rays_types")
@pytest.mark.parametrize("pickled", [OBJECTS, TENSORS, OLD], ids=["objects", "tensors", "old"])
def test_pickles_are_carried_as_what_they_are_stored_as(
    tmp_path: Path, pickled: tuple[pa.Field, pa.Array]
) -> None:
    field, column = pickled
    part = written_part(tmp_path, field, column)
    assert part.column("x").type == column.type
    assert part.column("x").to_pylist() == column.to_pylist()
    assert part.column("lists").to_pylist() == [[value] for value in column.to_pylist()]
    assert ran == []


@pytest.mark.usefixtures("rays_types")
def test_tensors_of_ray_with_plain_parameters_are_kept(tmp_path: Path) -> None:
    part = written_part(tmp_path, *as_extension("ray.data.arrow_tensor_v2", TENSORS[1], b"[2]"))
    assert part.column("x").type == ArrowTensorTypeV2((2,), pa.int64())


@pytest.mark.usefixtures("rays_types")
def test_tensors_of_ray_with_unknown_parameters_cost_nothing(tmp_path: Path) -> None:
    for parameters in (b"\xff", b'{"shape": 3}', b""):
        _, column = TENSORS
        field = as_extension("ray.data.arrow_tensor_v2", column, parameters)[0]
        schema = pa.schema([field, pa.field("text", pa.string())])
        table = pa.Table.from_arrays([column, pa.array(["a", "b"])], schema=schema)
        pq.write_table(table, tmp_path / "a.parquet")
        plan = plan_fragments(job(tmp_path))
        [fragment] = plan.fragments
        found = read_fragment(fragment, plan.read_schema, plan.filesystem)
        assert found["x"].to_pylist() == column.to_pylist()

import datetime as dt
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import FragmentError
from pipeline.input.planning import plan_fragments
from tests.unit.pipeline.input_files import job, read_fragment

UNIX_EPOCH = 2_440_588
"""Its Julian day."""
DATES = [dt.datetime.max, None, dt.datetime.min, dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)]


def write(path: Path, column: pa.Array, **options: Any) -> Path:
    table = pa.table({"text": ["a"] * len(column), "at": column})
    pq.write_table(table, path / "a.parquet", use_deprecated_int96_timestamps=True, **options)
    return path


def read(path: Path, **options: Any) -> list[Any]:
    plan = plan_fragments(job(path, **options))
    tables = [read_fragment(fragment, plan.read_schema, plan.filesystem) for fragment in plan.fragments]
    return [value for table in tables for value in table["at"].to_pylist()]


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("max_rows", [1, 3, 1000])
def test_years_before_1677_and_after_2262_are_kept(tmp_path: Path, max_rows: int, store_schema: bool) -> None:
    column = pa.array(DATES, pa.timestamp("us"))
    write(tmp_path, column, row_group_size=3, store_schema=store_schema)
    plan = plan_fragments(job(tmp_path))
    assert plan.carried_schema.field("at").type == pa.timestamp("us")
    assert read(tmp_path, max_fragment_rows=max_rows) == DATES


NESTED = [
    ([DATES, None, [], DATES[:1]], pa.list_(pa.timestamp("us"))),
    ([{"t": date, "n": 1} for date in DATES], pa.struct([("t", pa.timestamp("us")), ("n", pa.int8())])),
    ([[("k", DATES[0]), ("l", None)], None, [("m", DATES[2])]], pa.map_(pa.string(), pa.timestamp("us"))),
    ([[{"t": DATES[0]}], [], [None, {"t": DATES[2]}]], pa.list_(pa.struct([("t", pa.timestamp("us"))]))),
]  # fmt: skip


@pytest.mark.parametrize(("values", "type_"), NESTED, ids=str)
def test_at_any_depth(tmp_path: Path, values: list[Any], type_: pa.DataType) -> None:
    write(tmp_path, pa.array(values, type_), row_group_size=3)
    assert read(tmp_path) == read(tmp_path, max_fragment_rows=1) == values


FINER = pa.array([1_700_000_000_123_456_000, None, -1_700_000_000_123_456_001]).view(pa.timestamp("ns"))
OFFSETS = pa.array([0, 1, 1, 3], pa.int32())
NESTINGS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "bare": lambda items: items,
    "list": lambda items: pa.ListArray.from_arrays(OFFSETS, items),
    "struct": lambda items: pa.StructArray.from_arrays([pa.array(range(3)), items], ["n", "t"]),
    "map": lambda items: pa.MapArray.from_arrays(OFFSETS, pa.array(["a", "b", "c"]), items),
}


@pytest.mark.parametrize("nest", NESTINGS)
def test_finer_digits_are_refused_and_never_cut(tmp_path: Path, nest: str) -> None:
    write(tmp_path, NESTINGS[nest](FINER))
    with pytest.raises(FragmentError, match=r"a\.parquet: column 'at', rows 0 to 2: timestamps in INT96 have"):
        read(tmp_path)
    # Those of other fragments, and of columns that are not carried, do no harm.
    plan = plan_fragments(job(tmp_path, max_fragment_rows=1))
    first, second, third = plan.fragments
    for fragment in (first, second):
        read_fragment(fragment, plan.read_schema, plan.filesystem)
    with pytest.raises(FragmentError, match="rows 2 to 2: timestamps in INT96"):
        read_fragment(third, plan.read_schema, plan.filesystem)
    plan = plan_fragments(job(tmp_path, columns=[]))
    assert read_fragment(plan.fragments[0], plan.read_schema, plan.filesystem).num_rows == 3


@pytest.mark.parametrize(("day", "is_kept"), [(106_751_990, True), (106_751_992, False), (-106_751_992, False)])
def test_years_that_microseconds_cannot_hold_are_refused(tmp_path: Path, day: int, is_kept: bool) -> None:
    known = pa.array([7 * 86_400_000_000], pa.timestamp("us"))
    path = write(tmp_path, known, compression="none", use_dictionary=False) / "a.parquet"
    written, other = (struct.pack("<qi", 0, UNIX_EPOCH + d) for d in (7, day))
    assert path.read_bytes().count(written) == 1
    path.write_bytes(path.read_bytes().replace(written, other))
    plan = plan_fragments(job(tmp_path))
    if is_kept:
        found = read_fragment(plan.fragments[0], plan.read_schema, plan.filesystem)
        assert found["at"].cast(pa.int64()).to_pylist() == [day * 86_400_000_000]
    else:
        with pytest.raises(FragmentError, match="years beyond 292,000"):
            read_fragment(plan.fragments[0], plan.read_schema, plan.filesystem)

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.batching.row_random import row_hashes
from pipeline.driver import row_selection
from pipeline.driver.row_selection import (
    SelectedRows,
    first_rows,
    read_rows,
    rows_in_few_fragments,
    sampled_rows,
)
from pipeline.errors import FragmentError
from pipeline.input.planning import Plan, plan_fragments
from tests.unit.pipeline.input_files import job, rows, write

SIZES = {"a": 23, "b/c": 0, "b/d": 40, "e": 1}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    first = 0
    for name, size in SIZES.items():
        write(tmp_path / "in" / f"{name}.parquet", rows(size, first), row_group_size=7)
        first += size
    return tmp_path / "in"


def planned(corpus: Path, max_rows: int = 5) -> Plan:
    return plan_fragments(job(corpus, max_fragment_rows=max_rows))


def ids(plan: Plan, selection: list[SelectedRows]) -> list[int]:
    tables = list(read_rows(selection, plan.read_schema, plan.filesystem))
    assert all(isinstance(table, pa.Table) and table.schema == plan.read_schema for table in tables)
    return [row["id"] for table in tables for row in table.to_pylist()]  # type: ignore[union-attr]


@pytest.mark.parametrize("num_rows", [1, 5, 22, 23, 24, 63, 64, 1000])
def test_the_first_rows_are_those_of_the_first_files(corpus: Path, num_rows: int) -> None:
    plan = planned(corpus)
    assert ids(plan, first_rows(plan.fragments, num_rows)) == list(range(min(num_rows, 64)))


@pytest.mark.parametrize("num_rows", [1, 10, 63, 64, 1000])
@pytest.mark.parametrize("hashed_at_once", [2**22, 3])
def test_a_sample_has_the_smallest_hashes_of_all_rows(
    corpus: Path, num_rows: int, hashed_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_selection, "_HASHED_AT_ONCE", hashed_at_once)
    hashes = np.concatenate([row_hashes(f"{name}.parquet", 0, size) for name, size in SIZES.items()])
    expected = sorted(np.argsort(hashes)[:num_rows].tolist())
    for max_rows in (1, 5, 2048):
        plan = planned(corpus, max_rows)
        assert ids(plan, sampled_rows(plan.fragments, num_rows)) == expected


def test_a_larger_sample_holds_the_smaller_one(corpus: Path) -> None:
    plan = planned(corpus)
    assert set(ids(plan, sampled_rows(plan.fragments, 9))) < set(ids(plan, sampled_rows(plan.fragments, 30)))


def test_many_rows_of_few_fragments_are_read(corpus: Path) -> None:
    plan = planned(corpus)
    found = rows_in_few_fragments(plan.fragments, 20, 4)
    drawn = sampled_rows(plan.fragments, 4)
    assert [selected.fragment for selected in found] == [selected.fragment for selected in drawn]
    for few, one in zip(found, drawn, strict=True):
        assert len(few.indices) == min(few.fragment.num_rows, 5 * len(one.indices))
        assert few.indices.tolist() == sorted(set(few.indices.tolist()))
    assert rows_in_few_fragments(plan.fragments, 64, 4)[-1].fragment.relative_path == "e.parquet"
    assert ids(plan, rows_in_few_fragments(plan.fragments, 64, 4)) == list(range(64))


def test_rows_that_cannot_be_read_are_errors_in_place_of_their_fragment(corpus: Path) -> None:
    plan = planned(corpus, 100)
    write(corpus / "b" / "d.parquet", rows(3))
    first, second, third = read_rows(first_rows(plan.fragments, 64), plan.read_schema, plan.filesystem)
    assert isinstance(second, FragmentError)
    assert "has changed since the job was planned" in str(second)
    assert isinstance(first, pa.Table)
    assert isinstance(third, pa.Table)
    assert (first.num_rows, third.num_rows) == (23, 1)


def test_an_input_without_rows_has_no_selection(tmp_path: Path) -> None:
    write(tmp_path / "none.parquet", rows(0))
    fragments = planned(tmp_path).fragments
    assert first_rows(fragments, 3) == sampled_rows(fragments, 3) == rows_in_few_fragments(fragments, 3, 2) == []

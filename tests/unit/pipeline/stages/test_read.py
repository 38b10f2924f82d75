import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.data.datasource import ReadTask

from pipeline.errors import FragmentError, PipelineError
from pipeline.failures import Stage
from pipeline.fragments import Fragment
from pipeline.input.planning import Plan, plan_fragments
from pipeline.input.row_group_pass import RowGroupPass
from pipeline.stages import read, stage_runner
from pipeline.stages.blocks import failure_in, whole_fragment
from pipeline.stages.read import FragmentSource
from tests.unit.pipeline.input_files import job, rows, write


def read_tasks(plan: Plan, fragments: Sequence[Fragment] | None = None, **options: Any) -> list[ReadTask]:
    """The read tasks of some fragments of a plan."""
    chosen = plan.fragments if fragments is None else fragments
    return FragmentSource(chosen, plan.read_schema, plan.filesystem, **options).get_read_tasks(1)


def blocks_of(tasks: list[ReadTask]) -> list[pa.Table]:
    return [block for task in tasks for block in task()]


def as_failure(stage: Stage, fragment: Fragment, action: Callable[[], Any], last_resort: Any = None) -> Any:
    """A stage runner that turns errors into failures."""
    return stage_runner.as_failure(stage, fragment, action)


@pytest.fixture
def num_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each batch that Arrow has decoded."""
    counts: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def counted(file: pq.ParquetFile, **options: Any) -> Iterator[pa.RecordBatch]:
        for batch in whole(file, **options):
            counts.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    return counts


@pytest.mark.parametrize("parallelism", [-1, 1, 200])
def test_one_block_a_fragment_whatever_is_asked(tmp_path: Path, parallelism: int) -> None:
    write(tmp_path / "a.parquet", rows(25))
    write(tmp_path / "b.parquet", rows(10))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=10))
    source = FragmentSource(plan.fragments, plan.read_schema, plan.filesystem)
    assert source.estimate_inmemory_data_size() == plan.num_bytes
    tasks = source.get_read_tasks(parallelism)
    assert [task.metadata.num_rows for task in tasks] == [25, 10]
    assert [task.metadata.input_files for task in tasks] == [(file.path,) for file in plan.fragments.files]
    assert sum(task.metadata.size_bytes or 0 for task in tasks) == plan.num_bytes
    blocks = blocks_of(tasks)
    assert [whole_fragment(block) for block in blocks] == list(plan.fragments)
    assert all(block.schema.equals(tasks[0].schema) for block in blocks)
    found = pa.concat_tables(blocks).select(rows(0).column_names)
    assert found.equals(pa.concat_tables([rows(25), rows(10)]))


def test_each_row_of_a_large_row_group_is_decoded_once(tmp_path: Path, num_decoded: list[int]) -> None:
    write(tmp_path / "a.parquet", rows(3000), row_group_size=2000)
    plan = plan_fragments(job(tmp_path, max_fragment_rows=30))
    first, second = read_tasks(plan)
    assert [block.num_rows for block in first()] == [30] * 66 + [20]
    assert sum(num_decoded) == 2000
    # What a task yields is the same however often it is run, and from whichever fragment on.
    blocks = blocks_of([first, second])
    assert blocks == blocks_of([first, second])
    assert blocks == [block for f in plan.fragments for block in blocks_of(read_tasks(plan, [f]))]


def test_fragments_that_are_done_are_skipped_in_one_pass(tmp_path: Path, num_decoded: list[int]) -> None:
    write(tmp_path / "a.parquet", rows(1000))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=10))
    todo = [plan.fragments[index] for index in (20, 21, 50)]
    [task] = read_tasks(plan, todo)
    assert [whole_fragment(block) for block in task()] == todo
    assert sum(num_decoded) == 510


def test_tasks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(1000))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=10))
    monkeypatch.setattr(read, "MAX_TASK_FRAGMENTS", 40)
    assert [task.metadata.num_rows for task in read_tasks(plan)] == [400, 400, 200]
    monkeypatch.setattr(read, "MAX_TASK_BYTES", 3 * plan.fragments[0].num_bytes)
    assert [task.metadata.num_rows for task in read_tasks(plan)] == [30] * 33 + [10]


def test_a_damaged_page_costs_its_fragment_and_those_behind_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {"use_dictionary": False, "data_page_size": 1, "write_batch_size": 10}
    path = write(tmp_path / "a.parquet", rows(100), compression="none", write_page_checksum=True, **options)
    plan = plan_fragments(job(path, max_fragment_rows=10))
    data = bytearray(path.read_bytes())
    data[data.index(b"row 55")] ^= 1
    path.write_bytes(data)
    blocks = blocks_of(read_tasks(plan, run_stage=as_failure))
    failures = [failure_in(block) for block in blocks]
    assert [failure is None for failure in failures] == [True] * 5 + [False] * 5
    assert "rows 50 to 59 cannot be read" in str(failures[5])


def test_a_failure_that_passes_costs_one_fragment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(50))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=10))
    whole, calls = RowGroupPass.take, count()

    def take(rows_of: RowGroupPass, *arguments: int) -> list[pa.RecordBatch]:
        found = whole(rows_of, *arguments)
        if next(calls) == 2:
            raise OSError("no longer there")
        return found

    monkeypatch.setattr(RowGroupPass, "take", take)
    failed = blocks_of(read_tasks(plan, run_stage=as_failure))
    monkeypatch.undo()
    blocks = blocks_of(read_tasks(plan))
    assert [*failed[:2], *failed[3:]] == [*blocks[:2], *blocks[3:]]
    assert "no longer there" in str(failure_in(failed[2]))


def test_a_damaged_file_is_an_error_that_can_be_sent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", rows(25))
    plan = plan_fragments(job(tmp_path))
    path.write_bytes(b"")
    [task] = FragmentSource(plan.fragments, plan.read_schema, plan.filesystem).get_read_tasks(1)
    with pytest.raises(FragmentError) as caught:
        list(task())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, PipelineError)
    assert str(copy) == str(caught.value)

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import FragmentError, PipelineError
from pipeline.input.planning import plan_fragments
from pipeline.stages.blocks import whole_fragment
from pipeline.stages.read import FragmentSource
from tests.unit.pipeline.input_files import job, rows, write


@pytest.mark.parametrize("parallelism", [-1, 1, 200])
def test_one_task_and_one_block_a_fragment_whatever_is_asked(tmp_path: Path, parallelism: int) -> None:
    write(tmp_path / "a.parquet", rows(25))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=10))
    source = FragmentSource(plan.fragments, plan.read_schema, plan.filesystem)
    assert source.estimate_inmemory_data_size() == plan.num_bytes
    tasks = source.get_read_tasks(parallelism)
    for fragment, task in zip(plan.fragments, tasks, strict=True):
        assert task.metadata.num_rows == fragment.num_rows
        assert task.metadata.input_files == (fragment.path,)
        [block] = task()
        assert whole_fragment(block) == fragment
        assert block.schema.equals(task.schema)
    blocks = [next(iter(task())) for task in tasks]
    assert pa.concat_tables(blocks).select(rows(0).column_names).equals(rows(25))


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

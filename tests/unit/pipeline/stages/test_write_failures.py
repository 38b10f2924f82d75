"""What the sink does with fragments that have failed, and with parts that it cannot write."""

from pathlib import Path

import pytest
from pyarrow import fs
from ray.data._internal.execution.interfaces import TaskContext

from pipeline.errors import OutputError
from pipeline.failures import FragmentFailure
from pipeline.output.failure_log import FailureLog
from pipeline.output.output_folder import OutputFolder
from pipeline.stages import write
from pipeline.stages.blocks import failure_block
from pipeline.stages.stage_runner import as_failure
from pipeline.stages.write import PartSink
from tests.unit.pipeline.stages.test_write import FRAGMENT, SCHEMA, finished_block

LOCAL = fs.LocalFileSystem()
CONTEXT = TaskContext(task_idx=0, op_name="Write")
FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def output(root: Path) -> OutputFolder:
    return OutputFolder(LOCAL, str(root))


def test_a_failed_fragment_is_recorded_and_told_and_has_no_part(tmp_path: Path) -> None:
    told: list[FragmentFailure] = []
    PartSink(output(tmp_path), SCHEMA, on_failure=told.append).write([failure_block(FAILURE, FRAGMENT)], CONTEXT)
    assert told == [FAILURE]
    assert FailureLog(output(tmp_path)).failures() == {FRAGMENT.part_path: FAILURE}
    assert not list(tmp_path.rglob("*.parquet"))


def test_success_takes_the_record_of_an_earlier_failure_away(tmp_path: Path) -> None:
    log = FailureLog(output(tmp_path))
    log.record(FAILURE)
    PartSink(output(tmp_path), SCHEMA, failed_before=[FRAGMENT.part_path]).write([finished_block()], CONTEXT)
    assert log.failures() == {}
    assert (tmp_path / FRAGMENT.part_path).is_file()


def test_a_part_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish_part(*args: object, **options: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(write, "finish_part", finish_part)
    told: list[FragmentFailure] = []
    PartSink(output(tmp_path), SCHEMA, on_failure=told.append, run_stage=as_failure).write(
        [finished_block()], CONTEXT
    )
    assert told == [FragmentFailure.of(FRAGMENT, "write", "the disk is full")]
    with pytest.raises(OutputError, match="the disk is full"):
        PartSink(output(tmp_path), SCHEMA).write([finished_block()], CONTEXT)


def test_a_failure_is_told_also_where_it_cannot_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(self: FailureLog, failure: FragmentFailure) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(FailureLog, "record", record)
    told: list[FragmentFailure] = []
    PartSink(output(tmp_path), SCHEMA, on_failure=told.append).write([failure_block(FAILURE, FRAGMENT)], CONTEXT)
    assert told == [FAILURE]

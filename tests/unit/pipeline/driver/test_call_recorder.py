import threading
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.driver.call_recorder import CallRecorder, new_call, recorded_call
from pipeline.errors import ConfigError, JobError, LeaseLostError
from pipeline.output.call_history import CallCounts, CallHistory, CallRecord, Extent
from pipeline.output.output_folder import OutputFolder


def a_call() -> CallRecord:
    return new_call(
        command=["job.toml"],
        is_restart=False,
        in_all=Extent(2, 20),
        undone=Extent(2, 20),
        todo=Extent(1, 10),
        num_failed_files=0,
        failed_files={},
    )


def only_call(root: Path) -> CallRecord:
    (call,) = CallHistory(folder(root)).calls()
    return call


def folder(root: Path) -> OutputFolder:
    return OutputFolder(fs.LocalFileSystem(), str(root))


def test_a_call_is_recorded_when_it_begins_and_closed_at_its_end(tmp_path: Path) -> None:
    seconds = {"check": 1.0}
    with recorded_call(folder(tmp_path), a_call(), seconds) as recorder:
        running = only_call(tmp_path)
        assert (running.end, running.exit_code, running.seconds) == (None, None, {"check": 1.0})
        seconds["annotate"] = 2.0
        recorder.update(exit_code=3)
    call = only_call(tmp_path)
    assert (call.begin, call.exit_code, call.seconds) == (running.begin, 3, {"check": 1.0, "annotate": 2.0})
    assert call.end is not None
    assert call.begin <= call.end <= call.updated
    assert set(call.versions) == {"xlmr-ray", "torch", "pyarrow", "ray", "python"}


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, None),
        (ConfigError("model.dtype: found s3://me:secret@bucket"), 2, "model.dtype: found s3://bucket"),
        (JobError("it stalled"), 1, "it stalled"),
        (ValueError("the text of a row"), 1, "ValueError"),
    ],
)
def test_an_error_that_ends_a_call_is_recorded(
    error: BaseException, code: int, message: str | None, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), recorded_call(folder(tmp_path), a_call(), {}):
        raise error
    call = only_call(tmp_path)
    assert (call.exit_code, call.message) == (code, message)
    assert call.end is not None


def test_who_has_lost_the_output_writes_no_more(tmp_path: Path) -> None:
    with pytest.raises(LeaseLostError), recorded_call(folder(tmp_path), a_call(), {}):
        raise LeaseLostError("out")
    assert only_call(tmp_path).end is None


def test_a_record_that_cannot_be_written_is_no_reason_to_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "_manifest").write_text("a file where the folder should be")
    with recorded_call(folder(tmp_path), a_call(), {}) as recorder:
        recorder.update(exit_code=0)
    assert (tmp_path / "_manifest").is_file()


def test_counts_are_renewed_while_a_call_runs(tmp_path: Path) -> None:
    recorder = CallRecorder(folder(tmp_path), a_call(), {})
    asked = threading.Event()
    numbers = iter(range(1, 1000))

    def counts() -> CallCounts:
        if (number := next(numbers)) == 2:
            raise OSError("the counter is gone for a moment")
        if number > 3:
            asked.set()
        return CallCounts(num_parts=number)

    with recorder.renewed(counts, interval_s=0.001):
        assert asked.wait(10)
    assert only_call(tmp_path).counts.num_parts >= 3


@pytest.mark.parametrize("has_counts", [True, False])
def test_the_last_counts_of_an_interrupted_call_are_kept_and_told(has_counts: bool, tmp_path: Path) -> None:
    recorder = CallRecorder(folder(tmp_path), a_call(), {})

    def counts() -> CallCounts:
        if not has_counts:
            raise OSError("the counter has ended first")
        return CallCounts(num_parts=1, num_rows=10)

    with pytest.raises(KeyboardInterrupt), recorder.renewed(counts, interval_s=1000):
        raise KeyboardInterrupt
    if has_counts:
        assert only_call(tmp_path).counts.num_rows == 10
        done = "this call did 10 rows in 1 fragment; done in all: 1 of 2 fragments, left: 1"
    else:
        done = "this call did 0 rows in 0 fragments; done in all: 0 of 2 fragments, left: 2"
    assert recorder.so_far() == done

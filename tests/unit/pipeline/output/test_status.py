"""What is said of an output, from the files that runs leave at each stage of their lives."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.failures import FragmentFailure
from pipeline.output.call_history import CallCounts, CallHistory, CallRecord, Extent
from pipeline.output.claim import Claim
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.status import read_status
from tests.unit.pipeline.output.test_call_history import CALL
from tests.unit.pipeline.stages.test_write import FRAGMENT

FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")
RUNNING = replace(
    CALL,
    updated="2026-11-30T23:30:00.000Z",
    in_all=Extent(10, 100),
    undone=Extent(6, 60),
    todo=Extent(6, 60),
    counts=CallCounts(num_parts=2, num_rows=20, num_trunk_tokens=400),
)


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    """An output that was begun."""
    folder = OutputFolder(fs.LocalFileSystem(), str(tmp_path / "out"))
    Manifest(folder).begin({"model": "a"})
    return folder


def claim_it(output: OutputFolder, *, started: int | None = None, machine: str | None = None) -> Claim:
    claim = Claim.of_this_process(60)
    claim = replace(
        claim,
        started=claim.started if started is None else started,
        machine=claim.machine if machine is None else machine,
    )
    output.put(f"_manifest/lease/{claim.token}.json", claim.to_json())
    return claim


def put(output: OutputFolder, call: CallRecord) -> None:
    CallHistory(output).put(call.begin.replace(":", ""), call)


def test_a_run_that_goes_on(output: OutputFolder) -> None:
    put(output, RUNNING)
    claim_it(output)
    status = read_status(output)
    assert (status.state, status.done, status.left) == ("running", Extent(6, 60), Extent(4, 40))
    assert status.holder is not None
    assert (status.holder.pid, status.holder.is_alive) == (os.getpid(), True)
    assert (status.per_hour(20), status.per_hour(400)) == (40, 800)


@pytest.mark.parametrize(
    ("machine", "is_alive", "state"), [(None, False, "unfinished"), ("other", None, "running")]
)
def test_a_run_that_was_killed_here_or_may_run_elsewhere(
    machine: str | None, is_alive: bool | None, state: str, output: OutputFolder
) -> None:
    put(output, RUNNING)
    claim_it(output, started=1, machine=machine)
    status = read_status(output)
    assert status.holder is not None
    assert (status.state, status.holder.is_alive) == (state, is_alive)


@pytest.mark.parametrize(
    ("code", "state"), [(3, "partly"), (1, "unfinished"), (130, "unfinished"), (0, "unfinished")]
)
def test_a_run_that_ended_without_being_complete(code: int, state: str, output: OutputFolder) -> None:
    put(output, replace(RUNNING, end="2026-12-01T01:00:00.000Z", exit_code=code))
    FailureLog(output).record(FAILURE)
    status = read_status(output)
    assert (status.state, status.failures, status.holder) == (state, (FAILURE,), None)
    assert status.per_hour(20) == 10


def test_an_output_that_is_complete(output: OutputFolder) -> None:
    put(output, RUNNING)
    put(output, replace(RUNNING, begin="2026-12-01T00:00:00.000Z", end="2026-12-01T00:00:00.000Z", exit_code=0))
    output.put("_SUCCESS", b'{"parts": 10, "rows": 100}')
    status = read_status(output)
    assert (status.state, status.done, status.left) == ("complete", Extent(10, 100), Extent(0, 0))
    assert (status.num_calls, status.per_hour(20)) == (2, None)
    claim_it(output)
    assert read_status(output).state == "complete"


def test_an_output_without_records_of_calls(output: OutputFolder) -> None:
    status = read_status(output)
    assert (status.state, status.in_all, status.left, status.last_call) == ("unfinished", None, None, None)
    for data in (b"{", b"[]", b'{"parts": "x"}'):
        output.put("_SUCCESS", data)
        assert read_status(output).state == "unfinished"


def test_a_restart_that_goes_on_beside_the_output(output: OutputFolder) -> None:
    Manifest(output.restarted).begin({"model": "b"})
    FailureLog(output).record(replace(FAILURE, reason="of the old output"))
    FailureLog(output.restarted).record(FAILURE)
    put(output, replace(RUNNING, is_restart=True, end=RUNNING.updated, exit_code=3))
    assert read_status(output).failures == (FAILURE,)


def test_where_no_output_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^OUTPUT: found no output in .*/none, expected one; check the path"):
        read_status(OutputFolder(fs.LocalFileSystem(), f"{tmp_path}/none"))

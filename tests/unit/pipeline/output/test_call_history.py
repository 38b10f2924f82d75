from dataclasses import replace
from pathlib import Path

from pyarrow import fs

from pipeline.output.call_history import CallCounts, CallHistory, CallRecord, Extent
from pipeline.output.output_folder import OutputFolder
from pipeline.row_errors import ErrorKind

CALL = CallRecord(
    begin="2026-11-30T23:00:00.000Z",
    updated="2026-11-30T23:00:00.000Z",
    host="node",
    pid=7,
    command=["xlmr-annotate", "job.toml"],
    versions={"xlmr-ray": "1"},
    is_restart=False,
    in_all=Extent(3, 30),
    undone=Extent(2, 20),
    todo=Extent(2, 20),
    num_failed_files=1,
    failed_files={"b.parquet": "no Parquet file"},
    counts=CallCounts(errors={ErrorKind.CRASHED: 1}, labels={"topic": {"sport": 4}}),
    seconds={},
)


def test_calls_are_read_as_they_were_written_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    history = CallHistory(OutputFolder(fs.LocalFileSystem(), str(tmp_path)))
    assert history.calls() == []
    later = replace(CALL, begin="2026-12-01T00:00:00.000Z")
    history.put("b", later)
    history.put("a", CALL)
    assert history.calls() == [CALL, later]
    ended = replace(CALL, end=later.begin, exit_code=0, seconds={"annotate": 2.5}, ray_job_id="01000000")
    history.put("a", ended)
    assert history.calls() == [ended, later]


def test_damaged_records_are_left_out(tmp_path: Path) -> None:
    history = CallHistory(OutputFolder(fs.LocalFileSystem(), str(tmp_path)))
    history.put("a", CALL)
    for name, data in {"b": b"", "c": b'{"begin": 5}', "d": b"\xff"}.items():
        (tmp_path / f"_manifest/runs/{name}.json").write_bytes(data)
    assert history.calls() == [CALL]

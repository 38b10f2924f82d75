import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pyarrow import fs

from jobs import status
from jobs.status import main
from pipeline.output.call_history import CallHistory
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.run_id import run_id
from pipeline.row_errors import ErrorKind
from tests.unit.pipeline.output.test_status import FAILURE, RUNNING, claim_it, put

SCHEMA = Path(status.__file__).with_name("status.schema.json")


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(fs.LocalFileSystem(), str(tmp_path / "out"))
    Manifest(folder).begin({"model": "a"})
    return folder


def test_a_run_that_goes_on(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    claim = claim_it(output)
    counts = replace(RUNNING.counts, num_errors=3, errors={ErrorKind.NO_TEXT: 2, ErrorKind.CRASHED: 1})
    put(output, replace(RUNNING, counts=counts))
    assert main([output.root]) == 5
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "state      running",
        f"run        {run_id(output, {'model': 'a'})}",
        "done       60 rows in 6 fragments of 100 rows in 10 fragments",
        "left       40 rows in 4 fragments",
        f"held by    process {claim.pid} on {claim.host} since {claim.since}",
        "last call  2026-11-30T23:00:00.000Z on node, number 1",
        "heard of   2026-11-30T23:30:00.000Z",
        "it did     20 rows in 2 fragments, 3 with errors",
        "errors     2 no_text, 1 crashed",
        "per hour   40 rows, 800 tokens through the trunk",
        "not read: b.parquet: no Parquet file",
    ]


def test_a_run_that_ended_in_part(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    put(output, replace(RUNNING, end="2026-12-01T01:00:00.000Z", exit_code=3))
    FailureLog(output).record(FAILURE)
    assert main([output.root]) == 3
    out = capsys.readouterr().out
    assert "failed     1 fragment " in out
    assert "failed: x/a.parquet: rows 0 to 3 (read): a page is damaged\n" in out


def test_the_schema_in_the_package_is_that_of_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    assert capsys.readouterr().out == SCHEMA.read_text(encoding="utf-8"), (
        "run python -m jobs.status --schema > jobs/status.schema.json"
    )


def checked(text: str) -> dict[str, Any]:
    """The report, if it is as the schema says and has nothing else."""
    report: dict[str, Any] = json.loads(text)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    assert report.keys() == schema["properties"].keys()
    return report


def test_json_of_an_output_in_each_state(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    main([output.root, "--json"])
    found = checked(capsys.readouterr().out)
    assert (found["state"], found["last_call"], found["left"], found["rows_per_hour"]) == (
        "unfinished",
        None,
        None,
        None,
    )
    claim_it(output)
    FailureLog(output).record(FAILURE)
    put(output, replace(RUNNING, end="2026-12-01T01:00:00.000Z", exit_code=3))
    main([output.root, "--json"])
    found = checked(capsys.readouterr().out)
    assert (found["state"], found["holder"]["is_alive"], len(found["failures"])) == ("running", True, 1)
    with pytest.raises(jsonschema.ValidationError):
        checked(json.dumps(found | {"state": "asleep"}))


def test_json_holds_all_of_it(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    put(output, RUNNING)
    assert main([output.root, "--json"]) == 5
    found = checked(capsys.readouterr().out)
    assert (found["state"], found["exit_code"], found["left"]) == (
        "unfinished",
        5,
        {"num_fragments": 4, "num_rows": 40},
    )
    assert (found["rows_per_hour"], found["trunk_tokens_per_hour"]) == (40, 800)
    assert found["last_call"]["failed_files"] == {"b.parquet": "no Parquet file"}
    output.put("_SUCCESS", b'{"parts": 10, "rows": 100}')
    assert main([output.root, "--json"]) == 0


def test_no_output_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{tmp_path}/none"]) == 2
    assert capsys.readouterr().err.startswith("refused: OUTPUT: found no output in ")


@pytest.mark.parametrize("width", [40, 80])
def test_it_fits_narrow_terminals(
    width: int, output: OutputFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.terminal.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    put(output, replace(RUNNING, message="a long reason " * 5, failed_files={}))
    assert CallHistory(output).calls()
    main([output.root])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width

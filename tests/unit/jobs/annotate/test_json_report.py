"""`--json`: what is printed is as the schema says, and nothing else is on standard output."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from jobs.annotate import json_report
from jobs.annotate.command import main
from jobs.annotate.json_report import json_schema, result_json
from pipeline.driver.run import RunResult
from pipeline.failures import FragmentFailure
from pipeline.monitoring.progress_counter import Counts
from pipeline.monitoring.tallies import Tally
from pipeline.row_errors import ErrorKind
from tests.unit.jobs.annotate.test_command import job_file
from tests.unit.jobs.annotate.test_summary import prepared
from tests.unit.pipeline.input_files import rows, write
from tests.unit.pipeline.stages.test_write import FRAGMENT

SCHEMA = Path(json_report.__file__).with_name("report.schema.json")
FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def checked(text: str) -> Mapping[str, Any]:
    """The report, if it is as the schema says."""
    report: dict[str, Any] = json.loads(text)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def test_the_schema_in_the_package_is_that_of_the_reports() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema()


def test_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    (tmp_path / "in" / "b.parquet").write_text("no Parquet")
    assert main([str(job_file(tmp_path, tmp_path / "in")), "--plan", "--json"]) == 0
    report = checked(capsys.readouterr().out)
    assert (report["kind"], report["todo"]) == ("plan", {"num_fragments": 1, "num_rows": 3})
    assert report["files"] == {"new": 1, "changed": 0, "touched": 0, "unchanged": 0, "removed": 0}
    assert report["failed_files"][0]["path"] == f"{tmp_path}/in/b.parquet"
    assert list(report["heads"]) == ["vector"]


def test_the_result_of_a_run_that_had_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "a.parquet", rows(0))
    (tmp_path / "in" / "A.PARQUET").write_text("")
    assert main([str(job_file(tmp_path, tmp_path / "in")), "--json", "--address", "local"]) == 0
    out, err = capsys.readouterr()
    report = checked(out)
    assert (report["is_complete"], report["done"]) == (True, {"num_fragments": 0, "num_rows": 0})
    assert len(report["passed_over"]) == 1
    assert report["passed_over"][0] in err


def test_the_result_of_a_run() -> None:
    counts = Counts(num_tokens=900, num_parts=2, num_rows=20, num_errors=1, failures={"p": FAILURE})
    tally = Tally(21, {ErrorKind.NO_TEXT: 1}, {"topic": {f"label {i}": 30 - i for i in range(12)}})
    report = checked(result_json(prepared(), RunResult(3, counts, 4.5, False, 3, 30, tally, {"annotate": 4.5})))
    assert (report["exit_code"], report["trunk_tokens_per_s"], report["num_windows"]) == (3, 200.0, 21)
    assert (report["errors"], len(report["labels"]["topic"])) == ({"no_text": 1}, 10)
    assert report["failed_fragments"][0]["reason"] == "a page is damaged"


@pytest.mark.parametrize("wrong", [{"kind": "moon"}, {"kind": "result"}, {}])
def test_the_schema_refuses_what_is_not_a_report(wrong: dict[str, str]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        checked(json.dumps(wrong))

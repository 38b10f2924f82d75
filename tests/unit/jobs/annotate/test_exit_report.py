import json

import pytest

from jobs.annotate.exit_report import how_to_read, report_failures
from pipeline.exit_codes import DONE, PARTLY
from pipeline.failures import FragmentFailure
from pipeline.input.planning import FailedFile
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.origin import Origin
from tests.unit.pipeline.stages.test_write import FRAGMENT

FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def test_nothing_is_said_where_nothing_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_failures([], [], "out", Messages().error, {}) == DONE
    assert capsys.readouterr() == ("", "")


def test_files_and_fragments_are_listed_with_reasons_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    file = FailedFile("b.parquet", "b.parquet", "no Parquet file")
    assert report_failures([file], [FAILURE], "out", Messages().error, {}) == PARTLY
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "not read: b.parquet: no Parquet file",
        "failed: x/a.parquet: rows 0 to 3 (read): a page is damaged",
        "1 fragment failed, the others are in out; fix the causes named above, then run the same command again, "
        "or with --retry-failed to process only those",
    ]


def test_a_long_list_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_failures([], [FAILURE] * 25, "out", Messages().error, {}) == PARTLY
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 22
    assert lines[20] == "and 5 more, see out/_manifest/failed"


def test_json_says_where_a_fragment_failed(capsys: pytest.CaptureFixture[str]) -> None:
    messages, path = Messages(log_format="json"), FAILURE.part_path
    origins = {path: Origin(path, 3, "10.0.0.3")}
    for known in (origins, {}):
        report_failures([], [FAILURE], "out", messages.error, known)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("fragment") for line in lines] == [path, None, path, None]
    assert [(line.get("attempt"), line.get("node")) for line in lines[::2]] == [(3, "10.0.0.3"), (None, None)]


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ("out", "out/**/*.parquet"),
        ("/data/v[1]/out/", "/data/v[[]1]/out/**/*.parquet"),
        ("s3://bucket/out", "s3://bucket/out/**/*.parquet"),
        ("ä", "ä/**/*.parquet"),
    ],
)
def test_polars_is_told_which_files_are_parts(output: str, parts: str) -> None:
    assert how_to_read(output).startswith(f'to read it: pl.read_parquet("{parts}") in Polars; ')

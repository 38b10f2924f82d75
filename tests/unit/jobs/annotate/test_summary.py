"""What is printed at the end of a run."""

from types import SimpleNamespace
from typing import Any

import pytest

from jobs.annotate.summary import show_summary
from pipeline.driver.prepared_run import RunOptions
from pipeline.driver.run import RunResult
from pipeline.input.passed_over import PassedOver
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.progress_counter import Counts
from pipeline.monitoring.tallies import Tally
from pipeline.row_errors import ErrorKind

LABELS = {f"label {i}": 1000 - i for i in range(12)}
ERRORS = {ErrorKind.NO_TEXT: 1000, ErrorKind.CRASHED: 100}
RESULT = RunResult(
    num_fragments=2,
    counts=Counts(num_tokens=9000, num_parts=2, num_rows=2000, num_errors=1100, peak_rank_bytes=2**29),
    seconds=4.5,
    is_done=True,
    exit_code=0,
    num_rows=2000,
    tally=Tally(21, ERRORS, {"topic": LABELS, "ner": {"PER": 7}}),
    phases={"checking": 1.25, "annotating": 4.5, "committing": 0.01},
)


def prepared(**options: bool) -> Any:
    """A run of three fragments."""
    plan = SimpleNamespace(fragments=range(3), num_rows=2500, passed_over=PassedOver(), failed_files=())
    heads = [SimpleNamespace(name=name) for name in ("topic", "loss", "ner")]
    return SimpleNamespace(plan=plan, output_name="out", options=RunOptions(**options), heads=heads)


def test_the_summary_says_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(prepared(), RESULT, Messages())
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "done: 2,000 rows in 2 parts in out, 1,100 rows with errors",
        "errors  1,000 no_text, 100 crashed",
        "topic   label 0 1,000, label 1 999, label 2 998, label 3 997, label 4 996, label 5 995, label 6 994,",
        "        label 7 993, label 8 992, label 9 991 and 2 more labels",
        "ner     PER 7",
        "tokens  9,000 through the trunk, 2,000 a second",
        "time    checking 1.2 s, annotating 4.5 s, committing 0.0 s",
        "memory  at most 0.50 GiB per rank",
        "before  1 fragment was done before",
        'to read it: pl.read_parquet("out/**/*.parquet") in Polars; other readers take the folder as it is',
        "to see more: python -m jobs.status out, python -m jobs.report out",
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "nothing to do: all 3 fragments are in out"),
        ({"retry_failed": True}, "nothing to do: no fragment in out has failed"),
        ({"retries_errors": True}, "nothing to do: no row in out has an error that may change"),
    ],
)
def test_nothing_to_do(options: dict[str, bool], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(prepared(**options), RunResult(0, None, 0.0, True, 0), Messages())
    assert capsys.readouterr().out.splitlines()[0] == line


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits_narrow_terminals(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.terminal.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    show_summary(prepared(), RESULT, Messages())
    table = capsys.readouterr().out.splitlines()[1:-2]
    assert max(map(len, table)) <= width

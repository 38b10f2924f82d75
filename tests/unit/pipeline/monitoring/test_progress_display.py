"""What the display shows of the counts of a stand-in for the actor."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.failures import FragmentFailure
from pipeline.monitoring import progress_display
from pipeline.monitoring.group_counts import GroupCounts
from pipeline.monitoring.messages import Messages, opened_log
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.phases import Phases
from pipeline.monitoring.progress_counter import Counts, Size, Work
from pipeline.monitoring.progress_display import MAX_TOLD_FAILURES, ProgressDisplay
from tests.terminals import shown_on_terminal
from tests.unit.pipeline.stages.test_write import FRAGMENT

ROOT = Path(__file__).resolve().parents[4]
WORK = Work(Size(16, 1600), num_bytes=16_000, done_before=Size(384, 38_400), job=Size(400, 40_000))
FAILURE = FragmentFailure.of(FRAGMENT, "read", "damaged")
HALF = Counts(
    num_tokens=4000,
    annotated_bytes=8000,
    annotated_tokens=4000,
    num_parts=8,
    num_rows=800,
    failures={"a": FAILURE},
)
# Draws for a second in a process of its own, whose standard error may be a terminal.
PROGRAM = """
import sys, time
from tests.unit.pipeline.monitoring.test_progress_display import HALF, show
show(HALF, 1.2, is_quiet="--quiet" in sys.argv)
"""


def show(counts: Counts, seconds: float, *, is_quiet: bool = False, log: Path | None = None) -> Phases:
    """Show the counts of an actor that always gives the same ones."""
    progress_display.get_result = lambda counts: counts
    counter = SimpleNamespace(counts=SimpleNamespace(remote=lambda: counts))
    with opened_log(log) as file:
        messages = Messages(file, is_quiet=is_quiet)
        phases = Phases(messages)
        phases.begin("loading the model", time.monotonic() - 3)
        with ProgressDisplay(counter, WORK, messages, phases):
            time.sleep(seconds)
    return phases


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_display, "get_result", progress_display.get_result)


def test_progress_counts_over_the_whole_job(capsys: pytest.CaptureFixture[str]) -> None:
    show(HALF, 0)
    _, line = capsys.readouterr().err.splitlines()
    assert line[19:].startswith("  annotate  392/400 fragments  39,200/40,000 rows  0 errors  1 fragment failed  ")


def test_replicas_that_do_not_run_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    groups = {0: GroupCounts("running"), 1: GroupCounts("rebuilding"), 2: GroupCounts()}
    show(replace(HALF, groups=groups), 0)
    assert "  1 of 3 replicas  " in capsys.readouterr().err


def test_notes_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show(Counts(notes=(("[/x] :car:", Origin()),)), 0)
    assert "  annotate  [/x] :car:\n" in capsys.readouterr().err


def test_notes_and_failures_say_where_they_happened(capsys: pytest.CaptureFixture[str]) -> None:
    origin = Origin("a.parquet", 2, "10.0.0.3")
    show(
        Counts(notes=(("rebuilt", origin),), failures={"a": FAILURE}, origins={"a": Origin("a", 1, "10.0.0.4")}), 0
    )
    rebuilt, failed, _ = capsys.readouterr().err.splitlines()
    assert rebuilt[19:] == "  annotate  rebuilt [fragment a.parquet, attempt 2, node 10.0.0.3]"
    assert failed[19:] == f"  annotate  gave up {FAILURE} [fragment a, attempt 1, node 10.0.0.4]"


def test_each_failure_is_told_once_and_not_more_than_some(capsys: pytest.CaptureFixture[str]) -> None:
    show(Counts(failures={str(i): FAILURE for i in range(100)}), 1.2)
    assert capsys.readouterr().err.count("gave up") == MAX_TOLD_FAILURES


def test_before_the_first_batch_the_phase_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show(Counts(), 0)
    [line] = capsys.readouterr().err.splitlines()
    assert line[19:] in ("  annotate  loading the model, 3 s", "  annotate  loading the model, 4 s")


def test_the_phases_that_the_counter_knows_of_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    now = time.monotonic()
    phases = show(Counts(num_tokens=1, loaded_at=now - 2, first_batch_at=now - 1.5), 0)
    assert list(phases.seconds) == ["loading the model", "first batch"]
    assert phases.seconds["first batch"] == pytest.approx(0.5)
    assert phases.current is not None
    assert phases.current.startswith("annotating, ")
    assert "first batch          0.5 s\n" in capsys.readouterr().err


def test_quietly_only_the_log_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(HALF, 0, is_quiet=True, log=tmp_path / "log")
    assert capsys.readouterr() == ("", "")
    assert "  annotate  392/400 fragments  " in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("width", "settings", "line"),
    [
        (40, {}, "98%  1 fragment failed  ETA -:--:--"),
        (80, {"NO_COLOR": "1"}, "98%  392/400 fragments  0 errors  1 fragment failed  0 tokens/s  ETA -:--:--"),
    ],
)
def test_a_terminal_gets_one_line_that_fits(
    width: int, settings: dict[str, str], line: str, tmp_path: Path
) -> None:
    environment = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **settings}
    lines, has_colour = shown_on_terminal([sys.executable, "-c", PROGRAM], width, environment, tmp_path)
    assert set(lines) == {line}
    assert not has_colour


def test_a_terminal_that_cannot_draw_gets_lines(tmp_path: Path) -> None:
    lines, _ = shown_on_terminal(
        [sys.executable, "-c", PROGRAM], 40, {"TERM": "dumb", "PYTHONPATH": str(ROOT)}, tmp_path
    )
    assert len(lines) == 2
    assert "  annotate  392/400 fragments  " in lines[1]


def test_a_quiet_terminal_stays_empty(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "--quiet"]
    lines, _ = shown_on_terminal(command, 80, {"TERM": "xterm", "PYTHONPATH": str(ROOT)}, tmp_path)
    assert lines == []

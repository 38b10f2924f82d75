from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.progress_line import Progress, duration, fitting_line, full_line

SOME = Progress(
    num_fragments=384,
    total_fragments=400,
    num_rows=38_400,
    total_rows=40_000,
    num_errors=4,
    num_failed=0,
    tokens_per_s=1007.4,
    remaining_s=60.0,
)
HUGE = replace(SOME, num_rows=10**11, total_rows=2 * 10**11, num_failed=12_345, remaining_s=None)


def test_a_log_says_everything() -> None:
    assert full_line(SOME) == ("384/400 fragments  38,400/40,000 rows  4 errors  1,007 tokens/s  ETA 0:01:00")
    assert "  12,345 fragments failed  " in full_line(HUGE)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (10, "96%"),
        (20, "96%  ETA 0:01:00"),
        (40, "96%  384/400 fragments  ETA 0:01:00"),
        (60, "96%  384/400 fragments  1,007 tokens/s  ETA 0:01:00"),
        (80, "96%  384/400 fragments  38,400/40,000 rows  1,007 tokens/s  ETA 0:01:00"),
        (100, "━" * 16 + "─  96%  384/400 fragments  38,400/40,000 rows  4 errors  1,007 tokens/s  ETA 0:01:00"),
    ],
)
def test_the_most_important_fields_are_shown(width: int, line: str) -> None:
    assert fitting_line(SOME, width) == line


def test_replicas_are_shown_where_some_do_not_run() -> None:
    assert "replicas" not in full_line(replace(SOME, num_running=4, num_replicas=4))
    some = replace(SOME, num_running=3, num_replicas=4)
    assert full_line(some).endswith("  4 errors  3 of 4 replicas  1,007 tokens/s  ETA 0:01:00")
    assert fitting_line(some, 40) == "96%  3 of 4 replicas  ETA 0:01:00"


def test_failed_fragments_come_before_the_other_numbers() -> None:
    assert fitting_line(HUGE, 42) == "50%  12,345 fragments failed  ETA -:--:--"


def test_the_bar_shows_the_share_of_the_rows() -> None:
    half = replace(SOME, num_rows=20_000)
    assert fitting_line(half, 200).split("  ")[:2] == ["━" * 20 + "─" * 20, "50%"]
    nothing = replace(SOME, num_rows=0, total_rows=0)
    assert fitting_line(nothing, 200).startswith("━" * 40 + "  100%")


@given(width=st.integers(13, 300), num_rows=st.integers(0, 10**12), num_failed=st.integers(0, 10**6))
def test_a_line_fits_and_says_how_far_it_is(width: int, num_rows: int, num_failed: int) -> None:
    progress = replace(SOME, num_rows=num_rows, total_rows=10**12, num_failed=num_failed)
    line = fitting_line(progress, width)
    assert len(line) <= width
    assert f"{num_rows * 100 // 10**12}%" in line


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-:--:--"),
        (0, "0:00:00"),
        (59.6, "0:01:00"),
        (3599, "0:59:59"),
        (3600, "1:00:00"),
        (360000, "100:00:00"),
    ],
)
def test_duration(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected

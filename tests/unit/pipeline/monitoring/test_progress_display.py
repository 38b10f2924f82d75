from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.progress_counter import Counts, Work
from pipeline.monitoring.progress_display import ProgressDisplay, duration, estimate

NUM_BYTES = 10_000


def test_the_estimate_takes_the_rest_to_be_like_the_fragments_that_are_done() -> None:
    counts = Counts(num_tokens=700, annotated_bytes=1000, annotated_tokens=400)
    left = estimate(counts, NUM_BYTES, [(0.0, 0), (10.0, 500)])
    # 0.4 tokens a byte, of 10,000 bytes; 700 of them have passed.
    assert left.num_tokens == 4000 - 700
    assert left.tokens_per_s == 50
    assert left.remaining_s == pytest.approx(66)


def test_before_the_first_fragment_nothing_is_known() -> None:
    left = estimate(Counts(num_tokens=50), NUM_BYTES, [(0.0, 0), (1.0, 50)])
    assert left.num_tokens is None
    assert left.remaining_s is None
    assert left.tokens_per_s == 50


@pytest.mark.parametrize("history", [[], [(3.0, 0)], [(3.0, 10), (3.0, 20)], [(3.0, 10), (9.0, 10)]])
def test_without_a_rate_there_is_no_end_in_sight(history: list[tuple[float, int]]) -> None:
    left = estimate(Counts(annotated_bytes=1000, annotated_tokens=400), NUM_BYTES, history)
    assert left.tokens_per_s == 0
    assert left.remaining_s is None


def test_tokens_that_passed_twice_do_not_make_the_rest_negative() -> None:
    counts = Counts(num_tokens=9000, annotated_bytes=1000, annotated_tokens=400)
    assert estimate(counts, NUM_BYTES, []).num_tokens == 0


@given(num_bytes=st.integers(1, NUM_BYTES), num_tokens=st.integers(0, 10**6))
def test_when_all_is_done_nothing_is_left(num_bytes: int, num_tokens: int) -> None:
    counts = Counts(num_tokens=num_tokens, annotated_bytes=num_bytes, annotated_tokens=num_tokens)
    left = estimate(counts, NUM_BYTES, [])
    assert left.num_tokens is not None
    assert left.num_tokens >= 0
    if num_bytes == NUM_BYTES:
        assert left.num_tokens == 0


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


def test_notes_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.monitoring.progress_display.get_result", lambda counts: counts)
    counter = SimpleNamespace(counts=SimpleNamespace(remote=lambda: Counts(notes=("[/x] :car:",))))
    with ProgressDisplay(counter, Work(num_fragments=1, num_rows=1, num_bytes=1)):
        pass
    assert "  annotate  [/x] :car:\n" in capsys.readouterr().err

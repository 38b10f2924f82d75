import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.failures import FragmentFailure
from pipeline.monitoring.estimates import Left, Rate, remaining_s, what_is_left
from pipeline.monitoring.progress_counter import Counts, Size, Work
from tests.unit.pipeline.stages.test_write import FRAGMENT

WORK = Work(Size(10, 1000), num_bytes=10_000, done_before=Size(30, 3000), job=Size(40, 4000))


def rate_of(*samples: tuple[float, int]) -> Rate:
    rate = Rate()
    for seconds, total in samples:
        rate.add(seconds, total)
    return rate


def test_the_rest_is_taken_to_be_like_the_fragments_that_are_done() -> None:
    counts = Counts(num_tokens=700, num_rows=100, annotated_bytes=1000, annotated_tokens=400)
    # 0.4 tokens a byte, of 10,000 bytes; 700 of them have passed.
    assert what_is_left(counts, WORK) == Left(num_tokens=4000 - 700, num_rows=900)


def test_before_the_first_fragment_nothing_is_known() -> None:
    left = what_is_left(Counts(num_tokens=50), WORK)
    assert left == Left(None, 1000)
    assert remaining_s(left, 100.0, 0.0) is None


def test_rows_that_failed_are_not_waited_for() -> None:
    failure = FragmentFailure.of(FRAGMENT, "read", "damaged")
    counts = Counts(num_rows=990, failures={"a": failure})
    assert what_is_left(counts, WORK).num_rows == 10 - FRAGMENT.num_rows


def test_tokens_that_passed_twice_do_not_make_the_rest_negative() -> None:
    counts = Counts(num_tokens=9000, annotated_bytes=1000, annotated_tokens=400)
    assert what_is_left(counts, WORK).num_tokens == 0


def test_what_is_computed_is_still_to_be_written() -> None:
    counts = Counts(num_tokens=4000, num_rows=40, annotated_bytes=10_000, annotated_tokens=4000)
    left = what_is_left(counts, WORK)
    assert left == Left(0, 960)
    assert remaining_s(left, tokens_per_s=100.0, rows_per_s=16.0) == 60.0
    assert remaining_s(left, tokens_per_s=100.0, rows_per_s=0.0) is None


@pytest.mark.parametrize(
    ("tokens_per_s", "rows_per_s", "expected"),
    [(100.0, 100.0, 20.0), (100.0, 5.0, 100.0), (100.0, 0.0, 20.0), (0.0, 100.0, None)],
)
def test_the_slower_of_computing_and_writing_decides(
    tokens_per_s: float, rows_per_s: float, expected: float | None
) -> None:
    assert remaining_s(Left(2000, 500), tokens_per_s, rows_per_s) == expected


@given(
    tokens=st.integers(0, 10**6) | st.none(), rows=st.integers(0, 10**6), rates=st.tuples(*[st.floats(0, 1e6)] * 2)
)
def test_only_where_nothing_is_left_it_is_over(tokens: int | None, rows: int, rates: tuple[float, float]) -> None:
    found = remaining_s(Left(tokens, rows), *rates)
    assert (found == 0) == (rows == 0)


def test_a_rate_begins_with_the_first_unit() -> None:
    assert rate_of().usual == rate_of((3.0, 0)).usual == rate_of((3.0, 0), (4.0, 9)).usual == 0
    rate = rate_of((0.0, 0), (50.0, 10), (60.0, 30))
    assert rate.recent == rate.usual == 2.0


def test_a_rate_follows_the_last_minute() -> None:
    rate = rate_of(*((float(s), 100 * s) for s in range(1, 100)), *((float(s), 9900 + s) for s in range(100, 200)))
    assert rate.recent == pytest.approx(1, rel=0.05)


def test_a_minute_without_a_part_is_measured_over_the_whole_time() -> None:
    rate = rate_of(*((float(s), 10 if s < 50 else 60) for s in range(200)))
    assert rate.recent == 0
    assert rate.usual == pytest.approx(50 / 199)

import pytest

from pipeline.failures import Stage
from pipeline.monitoring.progress_counter import Counts, ProgressCounter


def test_the_counter_adds_up_what_it_is_told() -> None:
    counter = ProgressCounter()
    assert counter.counts() == Counts()
    counter.add_tokens(5)
    counter.add_tokens(7)
    counter.finish_fragment("a", 70, 12, 300)
    counter.finish_part("a", 10, 1)
    counter.finish_fragment("b", 30, 8, 200)
    counter.finish_part("b", 4, 0)
    assert counter.counts() == Counts(
        num_tokens=12,
        annotated_bytes=100,
        annotated_tokens=20,
        num_parts=2,
        num_rows=14,
        num_errors=1,
        peak_rank_bytes=300,
    )


def test_a_part_that_is_written_again_counts_once() -> None:
    """After a death Ray runs tasks again, those of parts in place too."""
    counter = ProgressCounter()
    for _ in range(2):
        counter.finish_fragment("a", 70, 12, 0)
        counter.finish_part("a", 10, 1)
    counts = counter.counts()
    assert (counts.num_parts, counts.num_rows, counts.num_errors) == (1, 10, 1)
    assert (counts.annotated_bytes, counts.annotated_tokens) == (70, 12)


def test_the_sums_outlast_the_names() -> None:
    counter = ProgressCounter()
    counter.finish_part("a", 10, 1)
    counter.finish_fragment("a", 70, 12, 0)
    before = counter.counts()
    counter.settle()
    assert counter.counts() == before
    counter.finish_part("b", 4, 0)
    assert (counter.counts().num_parts, counter.counts().num_rows) == (2, 14)


def test_annotating_is_timed_from_the_first_fragment_to_the_last_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pipeline.monitoring.progress_counter.time.monotonic", lambda: now[0])
    counter = ProgressCounter()
    stages: list[tuple[float, Stage]] = [(101.0, "read"), (105.0, "annotate"), (109.0, "annotate")]
    for at, stage in stages:
        now[0] = at
        counter.begin(stage, "a")
    assert counter.counts().annotating_s == 0
    for at in (110.0, 112.5):
        now[0] = at
        counter.add_tokens(5)
    now[0] = 120.0
    assert counter.counts() == Counts(num_tokens=10, annotating_s=7.5)

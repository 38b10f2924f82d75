"""What the counter keeps of failures, tries and notes."""

from dataclasses import replace

from pipeline.failures import FragmentFailure
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.monitoring.repeated_failures import MAX_FAILED_WRITES
from tests.unit.pipeline.stages.test_write import FRAGMENT

READ = FragmentFailure.of(FRAGMENT, "read", "damaged")
WRITE = replace(READ, part_path="b", stage="write")


def test_failures_are_kept_until_their_part_is_there() -> None:
    counter = ProgressCounter()
    assert counter.fail_fragment(READ) is None
    assert counter.counts().failures == {FRAGMENT.part_path: READ}
    counter.finish_part(FRAGMENT.part_path, 4, 0)
    assert counter.counts().failures == {}


def test_a_part_that_is_written_ends_a_row_of_failures() -> None:
    counter = ProgressCounter()
    for _ in range(2):
        assert [counter.fail_fragment(WRITE) for _ in range(MAX_FAILED_WRITES - 1)] == [None] * 19
        counter.finish_part("a", 4, 0)
    assert [counter.fail_fragment(READ), counter.fail_fragment(WRITE)] == [None, None]


def test_tries_are_counted_by_stage_until_they_end() -> None:
    counter = ProgressCounter()
    assert [counter.begin("read", "a"), counter.begin("read", "a"), counter.begin("encode", "a")] == [1, 2, 1]
    counter.end("read", "a")
    assert counter.begin("read", "a") == 1


def test_notes_are_kept_in_order() -> None:
    counter = ProgressCounter()
    counter.note("first")
    counter.note("second")
    assert counter.counts().notes == (("first", Origin()), ("second", Origin()))

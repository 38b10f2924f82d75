from dataclasses import replace

from pipeline.failures import FragmentFailure
from pipeline.monitoring.repeated_failures import MAX_ACCESS_ERRORS, MAX_FAILED_WRITES, RepeatedFailures
from tests.unit.pipeline.stages.test_write import FRAGMENT

DENIED = FragmentFailure.of(
    FRAGMENT, "read", "a cannot be read: AWS Error ACCESS_DENIED during HeadObject; give access"
)
EXPIRED = replace(DENIED, reason="a cannot be read: AWS Error EXPIRED_TOKEN during GetObject; give access")
DAMAGED = replace(DENIED, reason="damaged")
WRITE = replace(DAMAGED, stage="write")


def test_the_same_access_error_in_a_row_ends_the_run_and_says_why() -> None:
    failures = RepeatedFailures()
    reasons = [failures.add(DENIED) for _ in range(MAX_ACCESS_ERRORS)]
    assert reasons[:-1] == [None] * 9
    assert reasons[-1] == f"10 fragments in a row failed with AWS Error ACCESS_DENIED, the last one: {DENIED}"


def test_another_error_or_a_part_begins_a_new_row() -> None:
    failures = RepeatedFailures()
    for other in (EXPIRED, DAMAGED, None):
        assert [failures.add(DENIED) for _ in range(MAX_ACCESS_ERRORS - 1)] == [None] * 9
        if other is None:
            failures.reset()
        else:
            assert failures.add(other) is None
    assert failures.add(DENIED) is None


def test_failures_that_are_of_the_files_never_end_the_run() -> None:
    failures = RepeatedFailures()
    assert {failures.add(DAMAGED) for _ in range(100)} == {None}


def test_parts_that_cannot_be_written_end_it() -> None:
    failures = RepeatedFailures()
    reasons = [failures.add(WRITE) for _ in range(MAX_FAILED_WRITES)]
    assert reasons[:-1] == [None] * 19
    assert reasons[-1] is not None
    assert reasons[-1].startswith("20 parts in a row could not be written, the last one: ")

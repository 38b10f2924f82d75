import pytest

from pipeline.failures import FragmentFailure, Stage
from pipeline.monitoring.group_counts import GroupCounts
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.progress_counter import Counts, ProgressCounter
from tests.unit.pipeline.stages.test_write import FRAGMENT


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


def states(counter: ProgressCounter) -> list[str]:
    return [counts.state for _, counts in sorted(counter.counts().groups.items())]


def test_each_shard_group_has_its_counts() -> None:
    counter = ProgressCounter()
    for group in (0, 1):
        counter.set_state(group, "waiting")
    counter.finish_loading(1)
    assert states(counter) == ["waiting", "running"]
    counter.add_tokens(5, 1, 0.5)
    counter.set_state(1, "rebuilding")
    assert states(counter) == ["waiting", "rebuilding"]
    counter.set_state(1, "running")
    counter.add_tokens(7, 1, 1.5)
    counter.finish_fragment("a", 10, 12, 300, 1)
    counter.finish_fragment("b", 10, 12, 200, 1)
    assert counter.counts().groups == {0: GroupCounts(), 1: GroupCounts("running", 12, 2.0, 1, 300)}
    assert counter.counts().num_tokens == 12


def test_all_groups_wait_after_a_dataset() -> None:
    counter = ProgressCounter()
    for group in (0, 1):
        counter.finish_loading(group)
    counter.settle()
    assert states(counter) == ["waiting", "waiting"]


def test_a_failure_has_the_node_and_the_number_of_its_attempt() -> None:
    counter = ProgressCounter()
    path = FRAGMENT.part_path
    for _ in range(3):
        counter.begin("read", path)
    counter.end("read", path, "10.0.0.3")
    counter.fail_fragment(FragmentFailure.of(FRAGMENT, "read", "damaged"))
    assert counter.counts().origins == {path: Origin(path, 3, "10.0.0.3")}
    counter.finish_part(path, 4, 0)
    assert counter.counts().origins == {}


def test_a_note_on_a_fragment_has_the_number_of_its_attempt() -> None:
    counter = ProgressCounter()
    counter.note("general")
    for _ in range(2):
        counter.begin("annotate", "a")
    counter.note("rebuilt", Origin("a", node="10.0.0.3"))
    assert counter.counts().notes == (("general", Origin()), ("rebuilt", Origin("a", 2, "10.0.0.3")))

import pytest

from pipeline.failures import FragmentFailure, Stage
from pipeline.monitoring.group_counts import Batches, GroupCounts
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.progress_counter import Counts, ProgressCounter
from tests.unit.pipeline.stages.test_write import FRAGMENT


def test_the_counter_adds_up_what_it_is_told() -> None:
    counter = ProgressCounter()
    assert counter.counts() == Counts()
    counter.add_batches(0, Batches(5))
    counter.finish_fragment("a", 70, 12, 300, 0, Batches(7))
    counter.finish_part("a", 10, 1)
    counter.finish_fragment("b", 30, 8, 200, 0, Batches())
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
        counter.finish_fragment("a", 70, 12, 0, 0, Batches())
        counter.finish_part("a", 10, 1)
    counts = counter.counts()
    assert (counts.num_parts, counts.num_rows, counts.num_errors) == (1, 10, 1)
    assert (counts.annotated_bytes, counts.annotated_tokens) == (70, 12)


def test_the_sums_outlast_the_names() -> None:
    counter = ProgressCounter()
    counter.finish_part("a", 10, 1)
    counter.finish_fragment("a", 70, 12, 0, 0, Batches())
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
    now[0] = 110.0
    counter.add_batches(0, Batches(5))
    now[0] = 114.0
    counter.add_batches(0, Batches(5, age_s=1.5))
    # Of another group, whose last batch was done before that.
    counter.add_batches(1, Batches(2, age_s=3))
    now[0] = 120.0
    counter.finish_fragment("a", 70, 12, 0, 0, Batches())
    counts = counter.counts()
    assert (counts.num_tokens, counts.annotating_s, counts.first_batch_at) == (12, 7.5, 110.0)


def states(counter: ProgressCounter) -> list[str]:
    return [counts.state for _, counts in sorted(counter.counts().groups.items())]


def test_each_shard_group_has_its_counts() -> None:
    counter = ProgressCounter()
    for group in (0, 1):
        counter.set_state(group, "waiting")
    counter.finish_loading(1)
    assert states(counter) == ["waiting", "running"]
    counter.add_batches(1, Batches(5, 0.5))
    counter.set_state(1, "rebuilding")
    assert states(counter) == ["waiting", "rebuilding"]
    counter.set_state(1, "running")
    counter.finish_fragment("a", 10, 12, 300, 1, Batches(7, 1.5))
    counter.finish_fragment("b", 10, 12, 200, 1, Batches())
    assert counter.counts().groups == {0: GroupCounts(), 1: GroupCounts("running", 12, 2.0, 1, 300)}
    assert counter.counts().num_tokens == 12


def test_groups_outlast_a_dataset_and_end_with_the_run() -> None:
    counter = ProgressCounter()
    for group in (0, 1):
        counter.finish_loading(group)
    counter.settle()
    assert states(counter) == ["running", "running"]
    counter.end_replicas()
    assert states(counter) == ["waiting", "waiting"]


def test_what_comes_next_tells_that_a_stage_has_ended() -> None:
    counter = ProgressCounter()
    stages: tuple[Stage, ...] = ("read", "encode", "annotate", "write")
    for _ in range(2):
        assert [counter.begin(stage, "a") for stage in stages] == [1, 1, 1, 1]
        counter.finish_fragment("a", 70, 12, 0, 0, Batches())
        counter.finish_part("a", 10, 1)
    # Another fragment tells nothing of this one.
    counter.begin("read", "a")
    for stage in stages:
        counter.begin(stage, "b")
    counter.finish_fragment("b", 70, 12, 0, 0, Batches())
    counter.finish_part("b", 10, 1)
    assert counter.begin("read", "a") == 2


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

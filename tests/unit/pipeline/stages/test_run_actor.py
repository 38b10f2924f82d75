"""The records of parts that the run's actor keeps for the end of the run."""

import pytest

from pipeline.monitoring.tallies import Tally
from pipeline.stages import run_actor
from pipeline.stages.run_actor import RunActor


def test_keeps_the_last_record_of_each_part_and_counts_the_part_once() -> None:
    actor = RunActor()
    for content in (b"first attempt", b"second"):
        actor.write_part("a.parquet", 10, 2, Tally(num_windows=3), ("parts/a.json", content))
    actor.write_part("b.parquet", 5, 0, Tally())
    assert actor.records() == {"parts/a.json": b"second"}
    assert (actor.counts().num_parts, actor.counts().num_rows, actor.counts().num_errors) == (2, 15, 2)
    assert actor.tally().num_windows == 3


def test_keeps_no_more_bytes_of_records_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_actor, "MAX_RECORD_BYTES", 10)
    actor = RunActor()

    def write(path: str, content: bytes) -> None:
        actor.write_part(f"{path}.parquet", 1, 0, Tally(), (path, content))

    write("a", b"12345")
    write("b", b"123456")
    assert list(actor.records()) == ["a"]
    write("a", b"1234")
    write("c", b"123456")
    assert actor.records() == {"a": b"1234", "c": b"123456"}
    write("a", b"12345")
    assert list(actor.records()) == ["c"], "rather none than that of another attempt"

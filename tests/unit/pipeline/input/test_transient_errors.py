"""Listing, planning and reading survive transient errors, and do not wait for lasting ones at each file anew."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.input import file_listing, file_plans, reading
from pipeline.input.file_plans import Planner
from pipeline.input.planning import plan_fragments
from pipeline.storage import retries, threads
from tests.unit.pipeline.input_files import job, read_fragment, rows, write


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    monkeypatch.setattr(retries, "time", Clock)


def failing(function: Callable[..., Any], num_failures: int, calls: list[Any]) -> Callable[..., Any]:
    """A function that first fails as on a network mount that has timed out; its calls' arguments go to `calls`."""

    def call(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) <= num_failures:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments)

    return call


def test_a_listing_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(3))
    monkeypatch.setattr(file_listing, "walk", failing(file_listing.walk, 2, calls := []))
    assert plan_fragments(job(tmp_path)).num_files == 1
    assert len(calls) == 3


def test_footers_are_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(3))
    monkeypatch.setattr(file_plans, "read_footer", failing(file_plans.read_footer, 2, []))
    plan = plan_fragments(job(tmp_path))
    assert (plan.num_rows, plan.failed_files) == (3, ())


def test_a_store_that_stays_down_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(3))
    for name in "xyz":
        write(tmp_path / f"{name}.parquet", rows(3))
    monkeypatch.setattr(threads, "NUM_THREADS", 1)
    calls: list[str] = []

    def plan(planner: Planner, file: Any, *arguments: Any) -> Any:
        calls.append(file.relative_path)
        if file.relative_path == "a.parquet":
            return whole(planner, file, *arguments)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    whole = Planner.plan
    monkeypatch.setattr(Planner, "plan", plan)
    plan = plan_fragments(job(tmp_path))
    assert [file.relative_path for file in plan.failed_files] == ["x.parquet", "y.parquet", "z.parquet"]
    assert calls.count("x.parquet") > 8
    assert (calls.count("y.parquet"), calls.count("z.parquet")) == (1, 1)


def test_reading_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", rows(3))
    plan = plan_fragments(job(tmp_path))
    monkeypatch.setattr(reading, "read_footer", failing(reading.read_footer, 3, []))
    [fragment] = plan.fragments
    assert read_fragment(fragment, plan.read_schema, plan.filesystem).equals(rows(3))

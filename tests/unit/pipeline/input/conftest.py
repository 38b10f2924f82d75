"""Plan files in this process, as a child takes a while to start; `test_file_planning.py` starts some."""

from collections.abc import Sequence
from threading import Event

import pytest

from pipeline.input import planning
from pipeline.input.file_plans import Planner
from pipeline.input.planner_process import Entry, Outcome, plan_or_reason
from pipeline.storage.threads import map_in_threads


def plan_files_here(planner: Planner, entries: Sequence[Entry]) -> list[Outcome]:
    """As `plan_files`, without a child."""
    has_given_up = Event()
    return list(map_in_threads(lambda entry: plan_or_reason(planner, entry, has_given_up), entries))


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "plan_files", plan_files_here)

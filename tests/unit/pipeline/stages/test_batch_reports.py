from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.monitoring.group_counts import Batches
from pipeline.stages.batch_reports import BatchReports


def test_batches_are_told_in_sums_with_none_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pipeline.stages.batch_reports.time.monotonic", lambda: now[0])
    told: list[Any] = []
    counter = SimpleNamespace(add_batches=SimpleNamespace(remote=lambda *message: told.append(message)))
    reports = BatchReports(cast(Any, counter), 3)
    reports.add(10, 0.25)
    # The first one at once, as the display waits for it.
    assert told == [(3, Batches(10, 0.25, 0.0))]
    for at, num_tokens in ((100.25, 20), (100.5, 30), (101.0, 40), (101.5, 50)):
        now[0] = at
        reports.add(num_tokens, 0.25)
    assert told[1:] == [(3, Batches(90, 0.75, 0.0))]
    now[0] = 101.75
    assert reports.take() == Batches(50, 0.25, 0.25)
    assert reports.take() == Batches()
    reports.flush()
    assert len(told) == 2
    now[0] = 102.0
    reports.add(60, 0.25)
    reports.flush()
    assert told[2:] == [(3, Batches(60, 0.25, 0.0))]

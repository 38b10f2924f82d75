import time

import pytest

from pipeline.monitoring.phases import Phases, process_began


def test_a_phase_is_told_when_the_next_one_begins() -> None:
    told: list[str] = []
    phases = Phases(told.append)
    phases.begin("checking", 100.0)
    phases.begin("connecting", 101.23)
    assert told == ["checking             1.2 s"]
    phases.begin("loading the model", 105.0)
    phases.end(4105.06)
    assert told[1:] == ["connecting           3.8 s", "loading the model 4000.1 s"]
    assert phases.seconds == pytest.approx({"checking": 1.23, "connecting": 3.77, "loading the model": 4000.06})
    phases.end()
    assert len(told) == 3


def test_the_current_phase_is_named_with_its_seconds() -> None:
    phases = Phases(print)
    assert phases.current is None
    phases.begin("placing", time.monotonic() - 12.1)
    assert phases.current == "placing, 12 s"


def test_a_process_began_before_now_and_not_long_ago() -> None:
    age_s = time.monotonic() - process_began()
    assert 0 < age_s < 3600
    began = process_began()
    time.sleep(0.05)
    assert process_began() == pytest.approx(began, abs=0.03)

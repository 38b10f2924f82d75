import pytest

from pipeline.errors import NoRoomError
from pipeline.monitoring.cluster_state import ClusterState, Node
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.replica import room
from pipeline.replica.room import RoomWait


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ClusterState((Node("a", "10.0.0.1", {"CPU": 4}, {"CPU": 1}),), held={"job 2": {"CPU": 3}})
    monkeypatch.setattr(room, "look_at_cluster", lambda: state)
    monkeypatch.setattr(room, "_WORTH_TELLING_S", 0.05)
    monkeypatch.setattr(room, "_MAX_INTERVAL_S", 0.02)


@pytest.fixture
def phases() -> Phases:
    phases = Phases(lambda line: None)
    phases.begin("placing")
    return phases


def test_room_that_is_there_is_not_waited_for(phases: Phases, capsys: pytest.CaptureFixture[str]) -> None:
    wait = RoomWait(0.01, phases, Messages())
    wait.until(lambda: True, lambda: "1 group")
    assert (wait.num_looks, capsys.readouterr().err) == (0, "")


def test_what_is_waited_for_is_told_once_and_shown_with_the_phase(
    phases: Phases, capsys: pytest.CaptureFixture[str]
) -> None:
    wait, shown = RoomWait(None, phases, Messages()), []

    def is_there() -> bool:
        shown.append(phases.current)
        return wait.num_looks >= 5

    wait.until(is_there, lambda: "2 groups of {CPU: 2}")
    said = "waits for 2 groups of {CPU: 2}; free {CPU: 1}; held by job 2: {CPU: 3}"
    assert capsys.readouterr().err.count(said) == 1
    assert shown[0] == "placing, 0 s"
    assert shown[-1] == f"placing, 0 s  {said}"
    assert phases.current == "placing, 0 s"


def test_the_wait_ends_after_its_timeout(phases: Phases) -> None:
    said = (
        r"^model\.placement_timeout_s: found no room for 1 group of {CPU: 2} within 0\.2 s \(free {CPU: 1}; held "
        r"by job 2: {CPU: 3}\), expected it on one node each; wait longer, lower"
    )
    with pytest.raises(NoRoomError, match=said):
        RoomWait(0.2, phases, Messages()).until(lambda: False, lambda: "1 group of {CPU: 2}")

"""Two attempts of one job that overlap, as the retries of a RayJob can: the old driver is paused, then woken.

The pods of an attempt may live on when the next one starts. So the old driver is paused between each two of its
file operations, and the new one takes the lease over. The old one is woken after the new one has ended, or between
each two operations of the new one. Awake, it always has the turn.
"""

import pytest

from pipeline.errors import OutputError, PipelineError
from tests.simulation.disk import Disk
from tests.simulation.drivers import LEASE_TIMEOUT_S, Input, Run, run_driver, simulated
from tests.simulation.history import content_reader, made_at_once, require_consistent
from tests.simulation.test_histories import without_a_fence
from tests.simulation.world import SECONDS_PER_OPERATION, Driver, Fault, World

BEFORE = Run((Input("a.parquet", "1", "m", 2), Input("d/b.parquet", "1", "m", 1)))
"""The night before. Then a file changes, whose new parts are staged, and one comes."""
ASKED = Run(
    (Input("a.parquet", "2", "n", 2), Input("d/b.parquet", "1", "m", 1), Input("d/c.parquet", "1", "m", 2))
)
HOUR_S = 3600.0


class OldFirst(World):
    """A world in which the old driver has the turn whenever it is awake; notes when the new one does something."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.times: list[float] = []

    def pick(self, ready: list[Driver]) -> Driver:
        return min(ready, key=lambda driver: driver.name)

    def operation(self, name: str) -> None:
        super().operation(name)
        if self.current is not None and self.current.name == "new":
            self.times.append(self.now)


def overlap(where: str, paused_at: int, wakes_at: float) -> tuple[OldFirst, Driver]:
    """Pause the old driver before its operation `paused_at` until a time; returns the world and that driver.

    The new one starts a second later. Raises AssertionError where the output is not what one run makes.
    """
    world = OldFirst(paused_at)
    disk = Disk(world) if where == "disk" else None
    with simulated(world, disk) as filesystem:

        def driver(name: str, run: Run, *faults: Fault, starts_at: float = 0.0) -> Driver:
            return Driver(name, lambda: run_driver(world, filesystem, run), list(faults), starts_at)

        content = content_reader(filesystem, disk)
        world.run([driver("before", BEFORE)])
        if disk is not None:
            world.on_change = lambda: require_consistent(content())
        begun = world.now
        pause_s = wakes_at - paused_at * SECONDS_PER_OPERATION
        old = driver("a: old", ASKED, Fault(paused_at, "pause", pause_s))
        new = driver("new", ASKED, starts_at=paused_at * SECONDS_PER_OPERATION + 1.0)
        world.run([old, new])
        world.times = [time - begun for time in world.times]
        if old.num_operations < paused_at:
            return world, old
        # In a store, what the new one is about to move may be deleted by a late request of the old one.
        is_hit = disk is None and isinstance(new.outcome, OutputError)
        assert new.outcome is True or is_hit, repr(new.outcome)
        # Paused before it had a claim, or after it had given it back, it has lost nothing.
        assert isinstance(old.outcome, bool | PipelineError | KeyboardInterrupt), repr(old.outcome)
        if disk is None:
            # The next call mends what such a request did.
            world.run([last := driver("next", ASKED)])
            assert last.outcome is True, repr(last.outcome)
        assert content() == made_at_once(ASKED, on_disk=disk is not None)
    return world, old


def num_operations(where: str) -> int:
    """Of a driver that nobody disturbs."""
    _, old = overlap(where, 10**6, 0.0)
    return old.num_operations


@pytest.mark.parametrize("where", ["disk", "store"])
def test_an_old_attempt_that_wakes_after_the_new_one_has_ended_changes_nothing(where: str) -> None:
    for paused_at in range(1, num_operations(where) + 1):
        overlap(where, paused_at, HOUR_S)


def wake_between_operations(where: str, pauses: range) -> int:
    """Wake the old driver between each two operations of the new one; returns how often."""
    num_times = 0
    for paused_at in pauses:
        undisturbed, _ = overlap(where, paused_at, HOUR_S)
        for time in undisturbed.times:
            # Earlier the old one still holds the lease, and the new one is refused.
            if time > paused_at * SECONDS_PER_OPERATION + LEASE_TIMEOUT_S:
                overlap(where, paused_at, time + SECONDS_PER_OPERATION / 2)
                num_times += 1
    return num_times


@pytest.mark.parametrize(
    ("where", "step"),
    [
        pytest.param("disk", 120, marks=pytest.mark.slow),
        ("store", 30),
        pytest.param("disk", 15, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("store", 3, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_an_old_attempt_that_wakes_between_two_operations_of_the_new_one_changes_nothing(
    where: str, step: int
) -> None:
    pauses = range(step // 2 + 1, num_operations(where) + 1, step)
    assert wake_between_operations(where, pauses) > 100


def test_a_missing_fence_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_fence(monkeypatch)
    with pytest.raises(AssertionError):
        test_an_old_attempt_that_wakes_after_the_new_one_has_ended_changes_nothing("disk")

"""A simulated world of drivers that share an output: whose turn it is, the clock, kills, pauses and crashes.

Each driver runs in a thread of its own, but only one at a time: at every operation it hands over to the world,
which picks who goes on. All choices come from one seed.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECONDS_PER_OPERATION = 0.05


class Killed(BaseException):
    """The driver is dead; nothing it does from now on has an effect."""


@dataclass
class Fault:
    """What a driver meets before its operation `at`: "kill", "crash" of all, "error", or "pause" for seconds."""

    at: int
    kind: str
    seconds: float = 0.0


@dataclass
class Driver:
    """One process with a simulated heartbeat; `num_operations` so far."""

    name: str
    action: Callable[[], object]
    faults: list[Fault]
    starts_at: float = 0.0
    num_operations: int = 0
    wakes_at: float = 0.0
    is_dead: bool = False
    is_done: bool = False
    outcome: object = None
    heartbeat: Any = None
    next_beat: float = 0.0
    is_beating: bool = False
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class World:
    """The drivers of one history. `on_change` is called after each operation, `on_crash` at a crash."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.drivers: list[Driver] = []
        self.current: Driver | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_crash: Callable[[], None] = lambda: None
        self.violation: BaseException | None = None
        self._control = threading.Semaphore(0)
        self._num_names = 0

    def run(self, drivers: list[Driver]) -> None:
        """Run these drivers until each is done or dead."""
        self.drivers = drivers
        for driver in drivers:
            driver.wakes_at = self.now + driver.starts_at
            threading.Thread(target=self._live, args=(driver,), daemon=True).start()
        while alive := [driver for driver in drivers if not driver.is_done]:
            ready = [driver for driver in alive if driver.wakes_at <= self.now or driver.is_dead]
            if not ready:
                self.now = min(driver.wakes_at for driver in alive)
                continue
            self.current = self.pick(ready)
            self.current.turn.release()
            self._control.acquire()
        self.current = None
        if self.violation is not None:
            raise self.violation

    def pick(self, ready: list[Driver]) -> Driver:
        """Whose turn it is."""
        return self.random.choice(ready)

    def operation(self, name: str) -> None:
        """The current driver is about to change, read or list something."""
        driver = self.current
        if driver is None:
            return
        self._hand_over(driver)
        driver.num_operations += 1
        for fault in [fault for fault in driver.faults if fault.at == driver.num_operations]:
            self._strike(driver, fault)
        self.now += SECONDS_PER_OPERATION
        self._beat(driver)

    def changed(self) -> None:
        """The current driver has changed something."""
        try:
            self.on_change()
        except AssertionError as error:
            self.violation = self.violation or error
            raise Killed from error

    def sleep(self, seconds: float) -> None:
        """The current driver sleeps, but for its heartbeat."""
        driver = self.current
        assert driver is not None
        ends = self.now + seconds
        while self.now < ends:
            driver.wakes_at = min(ends, max(driver.next_beat, self.now + 0.01)) if driver.heartbeat else ends
            self._hand_over(driver)
            self._beat(driver)

    def name(self) -> str:
        """A new name, the same for the same seed."""
        self._num_names += 1
        return f"{self._num_names:08x}"

    def _live(self, driver: Driver) -> None:
        driver.turn.acquire()
        try:
            driver.outcome = driver.action()
        except Killed:
            pass
        except BaseException as error:
            driver.outcome = error
        driver.is_done = True
        self._control.release()

    def _hand_over(self, driver: Driver) -> None:
        self._control.release()
        driver.turn.acquire()
        if driver.is_dead:
            raise Killed

    def _strike(self, driver: Driver, fault: Fault) -> None:
        if fault.kind == "pause":
            driver.wakes_at = self.now + fault.seconds
            self._hand_over(driver)
            # Its threads wake up in any order: the heartbeat may be the last.
            driver.next_beat = max(driver.next_beat, self.now + self.random.choice([0, 0.2, 1, 5]))
        elif fault.kind == "error":
            raise OSError(5, "Input/output error")
        else:
            for other in self.drivers if fault.kind == "crash" else [driver]:
                other.is_dead = True
            if fault.kind == "crash":
                self.on_crash()
            raise Killed

    def _beat(self, driver: Driver) -> None:
        """Let the heartbeat beat where it is due, as its thread would."""
        if driver.heartbeat is None or driver.is_beating or self.now < driver.next_beat:
            return
        driver.is_beating = True
        try:
            driver.heartbeat.beat()
        finally:
            driver.is_beating = False
        driver.next_beat = self.now + driver.heartbeat.interval_s
        if driver.heartbeat.is_lost:
            driver.heartbeat = None
            raise KeyboardInterrupt

"""Many histories of the simulation, in all processes that the machine has: `make soak-simulation`.

`SIMULATION_HISTORIES` says how many on a disk, and as many in a store; `SIMULATION_SEED` the first seed. A history
that breaks a promise is named: `PYTHONHASHSEED=0 python -m tests.simulation.soak SEED disk` repeats it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.simulation.history import live_through

NUM_HISTORIES = int(os.environ.get("SIMULATION_HISTORIES", "50000"))
FIRST_SEED = int(os.environ.get("SIMULATION_SEED", "0"))
NUM_AT_ONCE = 500
MAX_SECONDS = 3600


def test_no_history_breaks_a_promise() -> None:
    ends = time.monotonic() + MAX_SECONDS
    counts = dict.fromkeys(("disk", "store"), 0)
    violations: list[str] = []
    batches = _batches()
    running: list[tuple[str, subprocess.Popen[str]]] = []
    while True:
        while (
            len(running) < len(os.sched_getaffinity(0))
            and time.monotonic() < ends
            and (batch := next(batches, None))
        ):
            where, first = batch
            running.append((where, _started(first, first + NUM_AT_ONCE, where)))
        if not running:
            break
        where, process = running.pop(0)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        found = output.splitlines()
        violations += found
        counts[where] += NUM_AT_ONCE
    print(f"\nhistories: {counts['disk']:,} on a disk, {counts['store']:,} in a store")
    assert not violations, "\n".join(violations)


def _batches() -> Iterator[tuple[str, int]]:
    for first in range(FIRST_SEED, FIRST_SEED + NUM_HISTORIES, NUM_AT_ONCE):
        for where in ("disk", "store"):
            yield where, first


def _started(first: int, end: int, where: str) -> subprocess.Popen[str]:
    # Sets of names are then in the same order each time.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.simulation.soak", str(first), where, str(end)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main(first: int, where: str, end: int) -> None:
    """Live through the histories of some seeds, and print those that break a promise."""
    for seed in range(first, end):
        try:
            live_through(seed, on_disk=where == "disk")
        except AssertionError as error:
            print(f"history {seed} on {where}: {' '.join(str(error).split())[:300]}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else int(sys.argv[1]) + 1)

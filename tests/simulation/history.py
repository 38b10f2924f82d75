"""One history of an output: an input that changes, drivers that are disturbed, readers that look at every step.

At its end an undisturbed driver runs, and the output has to be what one run in an empty folder would have made.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from pipeline.errors import PipelineError
from pipeline.output.manifest import RUN
from tests.simulation.disk import Disk
from tests.simulation.drivers import ROOT, Input, Run, changed, run_driver, simulated
from tests.simulation.store import Store
from tests.simulation.world import Driver, Fault, World

KINDS = ["kill", "kill", "kill", "pause", "pause", "pause", "crash", "error"]
NUM_OPERATIONS = 400


def live_through(seed: int, *, on_disk: bool) -> None:
    """One history. Raises AssertionError where the product breaks a promise."""
    world = World(seed)
    disk = Disk(world) if on_disk else None
    with simulated(world, disk) as filesystem:
        content = content_reader(filesystem, disk)
        world.on_crash = disk.crash if disk is not None else lambda: None
        if on_disk:
            world.on_change = lambda: require_consistent(content())
        files = (Input("a.parquet", "1", "m", 2), Input("d/b.parquet", "1", "m", world.random.randint(1, 3)))
        identity = "a"
        for _ in range(world.random.randint(1, 3)):
            drivers = []
            for number in range(1 if world.random.random() < 0.4 else 2):
                run = _asked(world.random, files, identity)
                faults = _faults(world.random, on_disk=on_disk)
                action = _action(world, filesystem, run)
                starts_at = number * world.random.choice([0.0, 1.0, 5.0, 100.0])
                drivers.append(Driver(f"{world.name()}", action, faults, starts_at))
            world.run(drivers)
            _require_foreseen(drivers)
            files = _next_input(world.random, files)
            identity = world.random.choice("aab")
        final = Run(files, identity, is_restart=True, prunes=True, retries_errors=True)
        last = Driver("last", _action(world, filesystem, final), [])
        world.run([last])
        assert last.outcome is True, f"the last run ended with {last.outcome!r}"
        if on_disk:
            require_consistent(content())
        found = content()
    assert found == made_at_once(final, on_disk=on_disk)


def made_at_once(run: Run, *, on_disk: bool) -> dict[str, bytes]:
    """What one undisturbed run makes in an empty folder."""
    world = World(0)
    disk = Disk(world) if on_disk else None
    with simulated(world, disk) as filesystem:
        world.run([driver := Driver("only", _action(world, filesystem, run), [])])
        assert driver.outcome is True, repr(driver.outcome)
        return content_reader(filesystem, disk)()


def require_consistent(content: dict[str, bytes]) -> None:
    """What a reader may rely on at any moment: the parts of a file are of one version, all parts of one model."""
    parts = {path: data for path, data in content.items() if path.endswith(".parquet") and path[0] != "_"}
    by_file: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for path, data in parts.items():
        relative_path, version, mark, index, identity, _ = json.loads(data)
        assert f".{index:05d}-of-" in path
        by_file[relative_path].add((version, mark))
        by_file[""].add((identity,))
    mixed = {path: kinds for path, kinds in by_file.items() if len(kinds) > 1}
    assert not mixed, f"parts are mixed: {mixed}"
    if "_SUCCESS" in content:
        summary = json.loads(content["_SUCCESS"])
        assert summary["parts"] + summary["removed"]["parts"] == len(parts), f"_SUCCESS beside {sorted(parts)}"


def content_reader(filesystem: Any, disk: Disk | None) -> Callable[[], dict[str, bytes]]:
    """A function that returns the files of the output by path."""
    prefix = f"{ROOT}/"

    def content() -> dict[str, bytes]:
        if disk is not None:
            names = {path: file.data for path, file in disk.tree.items() if file is not None}
        else:
            assert isinstance(filesystem, Store)
            names = filesystem.objects
        return {path[len(prefix) :]: data for path, data in names.items() if path.startswith(prefix)}

    return content


def _action(world: World, filesystem: Any, run: Run) -> Callable[[], object]:
    return lambda: run_driver(world, filesystem, run)


def _asked(chance: random.Random, files: tuple[Input, ...], identity: str) -> Run:
    failing = frozenset({1}) if chance.random() < 0.15 else frozenset()
    erring = frozenset(chance.sample(range(3), chance.choice([0, 0, 1, 2])))
    is_restart, retries_errors = chance.random() < 0.4, chance.random() < 0.4
    prunes = chance.random() < 0.3
    return Run(files, chance.choice([identity, "b"]), is_restart, prunes, failing, erring, retries_errors)


def _faults(chance: random.Random, *, on_disk: bool) -> list[Fault]:
    faults = []
    for _ in range(chance.choice([0, 1, 1, 2])):
        kind = chance.choice(KINDS)
        if kind == "crash" and not on_disk:
            kind = "kill"
        faults.append(Fault(chance.randint(1, NUM_OPERATIONS), kind, chance.choice([5.0, 70.0, 200.0, 1000.0])))
    return faults


def _next_input(chance: random.Random, files: tuple[Input, ...]) -> tuple[Input, ...]:
    """Change, touch, restore, add or remove a file."""
    new = list(files)
    for _ in range(chance.choice([0, 1, 1, 2])):
        index = chance.randrange(len(new))
        kind = chance.choice(["change", "touch", "touch", "restore", "add", "remove"])
        if kind == "change":
            new[index] = changed(new[index], version=chance.choice("123"), num_fragments=chance.randint(1, 3))
        elif kind == "touch":
            new[index] = changed(new[index], mark=chance.choice("mnop"))
        elif kind == "restore":
            new[index] = changed(new[index], version="1", mark="m")
        elif kind == "remove" and len(new) > 1:
            del new[index]
        elif kind == "add" and len(new) < 4:
            new.append(Input(f"d/e{len(new)}-{chance.choice('xy')}.parquet", "1", "m", chance.randint(1, 3)))
    unique = {file.path: file for file in new}
    return tuple(unique.values())


def _require_foreseen(drivers: list[Driver]) -> None:
    """A driver is done, dead, refused, or ended by an error of ours."""
    for driver in drivers:
        is_foreseen = driver.is_dead or isinstance(driver.outcome, bool | PipelineError | KeyboardInterrupt)
        assert is_foreseen, f"a driver ended with {driver.outcome!r}"


def state_of(content: dict[str, bytes]) -> str:
    """The content of a folder in lines, for people."""
    return "\n".join(f"{path}: {data[:100]!r}" for path, data in sorted(content.items()) if path != RUN)

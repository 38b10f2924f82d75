"""Drivers of the simulation: the product's own lease, restart, inventory, commit and failure code, without Ray.

The work on a fragment is a few bytes that say what they were made of. Of the clock, the disk, threads and chance
the product gets the simulated ones.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pyarrow import fs

from pipeline.failures import FragmentFailure
from pipeline.fragments import Cut, Fragment
from pipeline.input.fragment_table import FileCuts, FragmentTable, PlannedFile
from pipeline.output import claim, heartbeat, lease, output_folder
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import part_record_file
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import finish_part
from pipeline.output.restart import begin_run, folder_of_run, replace_output
from pipeline.output.run_output import RunOutput
from pipeline.row_errors import ErrorKind
from pipeline.storage import local_files, local_tree, retries, store_files, threads
from tests.simulation.disk import Disk
from tests.simulation.store import Store
from tests.simulation.world import World

ROOT = "/out"
LEASE_TIMEOUT_S = 60.0
TOLD = 0.7
"""The share of the records that the driver is told, and need not read."""


@dataclass(frozen=True)
class Input:
    """One input file; `version` is a letter, `mark` the time of its last change."""

    path: str
    version: str
    mark: str
    num_fragments: int


@dataclass(frozen=True)
class Run:
    """What a driver is asked for.

    Fragments whose index is in `failing` cannot be computed; those in `erring` have a row with an error.
    """

    files: tuple[Input, ...]
    identity: str = "a"
    is_restart: bool = False
    prunes: bool = False
    failing: frozenset[int] = frozenset()
    erring: frozenset[int] = frozenset()
    retries_errors: bool = False


def table_of(files: tuple[Input, ...]) -> FragmentTable:
    """The fragments of the input."""
    planned = []
    for file in files:
        version = f"{ord(file.version):08x}" * 2
        cuts = [Cut((0,), 0, 10 * index, 10, 100) for index in range(file.num_fragments)]
        planned.append((PlannedFile(f"/in/{file.path}", file.path, 1000, version, file.mark), FileCuts.of(cuts)))
    return FragmentTable(planned)


def content_of(fragment: Fragment, identity: str, *, has_error: bool = False) -> bytes:
    """The part of a fragment.

    Touched files give parts of the same size, and so do rows with errors; other versions and identities do not.
    """
    made_of = [fragment.relative_path, fragment.version, fragment.mark, fragment.index, identity, has_error]
    size = 130 + fragment.index + int(fragment.version[:8], 16) + 3 * ord(identity[0])
    return json.dumps(made_of).encode().ljust(size)


def run_driver(
    world: World, filesystem: Any, run: Run, root: str = ROOT, lease_timeout_s: float = LEASE_TIMEOUT_S
) -> bool:
    """One run from its lease to its end, as `pipeline.driver.run` does it; whether everything is done then."""
    output = OutputFolder(filesystem, root)
    identity = {"model": run.identity}
    table = table_of(run.files)
    folder_of_run(output, identity, is_restart=run.is_restart)
    with lease.held_lease(output, lease_timeout_s, lambda line: None) as held:
        folder = begin_run(held, identity, is_restart=run.is_restart)
        plan: Any = SimpleNamespace(fragments=table, failed_files=())
        output_run = RunOutput(folder, plan, identity, retries_errors=run.retries_errors)
        output_run.begin(prunes=run.prunes)
        failed = FailureLog(folder).failures()
        todo = list(output_run.increment.todo)
        for part_path in failed.keys() - ({f.part_path for f in todo} if failed else set()):
            FailureLog(folder).forget(part_path)
        world.random.shuffle(todo)
        written: dict[str, bytes] = {}
        for fragment in todo:
            told = _work(folder, fragment, run, output_run.increment.staged, failed)
            # What a worker tells may be lost.
            written.update(told if world.random.random() < TOLD else {})
        is_done = output_run.end(prunes=run.prunes, written=written)
        if is_done and folder != held:
            replace_output(held)
    return is_done


def _work(
    folder: OutputFolder, fragment: Fragment, run: Run, staged: frozenset[str], failed: Mapping[str, object]
) -> dict[str, bytes]:
    if fragment.index in run.failing:
        FailureLog(folder).record(FragmentFailure.of(fragment, "annotate", "it fails"))
        return {}
    has_error = fragment.index in run.erring
    data = content_of(fragment, run.identity, has_error=has_error)
    counts = {"num_errors": int(has_error), "num_tokens": 1, "num_windows": 1}
    record = finish_part(
        folder,
        fragment,
        data,
        staged_inputs=staged,
        errors={ErrorKind.OUT_OF_MEMORY: 1} if has_error else {},
        **counts,
    )
    if fragment.part_path in failed:
        FailureLog(folder).forget(fragment.part_path)
    return dict([part_record_file(record, is_staged=fragment.relative_path in staged)])


class SimulatedHeartbeat(heartbeat.Heartbeat):
    """Beats when the world lets it."""

    world: World

    def start(self) -> None:
        driver = self.world.current
        if driver is not None:
            driver.heartbeat, driver.next_beat = self, self.world.now + self.interval_s

    def stop(self) -> None:
        driver = self.world.current
        if driver is not None:
            driver.heartbeat = None


class SerialExecutor:
    """Runs what a pool of threads would, one after the other."""

    def __init__(self, num_threads: int) -> None:
        pass

    def __enter__(self) -> "SerialExecutor":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, function: Any, values: Any) -> Iterator[Any]:
        futures: list[Future[Any]] = []
        for value in values:
            future: Future[Any] = Future()
            try:
                future.set_result(function(value))
            except Exception as error:
                future.set_exception(error)
            futures.append(future)
        return (future.result() for future in futures)


@contextmanager
def simulated(world: World, disk: Disk | None) -> Iterator[Any]:
    """Give the product the simulated surroundings; yields the file system, of the disk or of a store."""
    clock = SimpleNamespace(monotonic=lambda: world.now, sleep=world.sleep)
    chance = SimpleNamespace(uniform=world.random.uniform)
    names = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=world.name()))
    with ExitStack() as stack:
        for module in (lease, heartbeat, retries, store_files):
            stack.enter_context(patch.object(module, "time", clock))
        for module in (lease, retries):
            stack.enter_context(patch.object(module, "random", chance))
        for module in (claim, local_files):
            stack.enter_context(patch.object(module, "uuid", names))
        stack.enter_context(patch.object(threads, "ThreadPoolExecutor", SerialExecutor))
        stack.enter_context(
            patch.object(lease, "Heartbeat", type("Beat", (SimulatedHeartbeat,), {"world": world}))
        )
        stack.enter_context(patch.object(claim, "_machine", lambda: _machine_of(world)))
        stack.enter_context(patch.object(claim, "_start_of", lambda pid: 1))
        if disk is None:
            yield Store(world)
            return
        for module in (local_files, local_tree, output_folder):
            stack.enter_context(patch.object(module, "os", disk.as_os()))
        yield fs.LocalFileSystem()


def _machine_of(world: World) -> str:
    """Each driver is on a machine of its own, so that its death shows in its silence alone."""
    return "" if world.current is None else world.current.name


def changed(file: Input, **values: Any) -> Input:
    """The file after a change."""
    return replace(file, **values)

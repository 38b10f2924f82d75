"""Runs without Ray or a model: the real plan, reading, sink, manifest and end, here or in a process apart.

A process apart can be killed at any of its steps: before any file is opened, written, renamed, deleted or listed.
"""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from ray.data._internal.execution.interfaces import TaskContext

from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, output_schema
from pipeline.input.planning import plan_fragments
from pipeline.monitoring.tallies import Tally
from pipeline.output.lease import held_lease
from pipeline.output.manifest import PartRecord, part_record_file
from pipeline.output.output_folder import OutputFolder
from pipeline.output.restart import begin_run, folder_of_run, replace_output
from pipeline.output.run_output import RunOutput
from pipeline.stages.blocks import with_keys
from pipeline.stages.write import PartSink
from pipeline.storage.locations import resolve_path
from tests.unit.pipeline.input_files import job, read_fragment

CONTEXT = TaskContext(task_idx=0, op_name="Write")
SCHEMA_OF_HEADS = {"half": pa.float32()}
STEPS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")


@dataclass(frozen=True)
class Options:
    """What is asked of a run. `identity` stands for its configuration and model; `is_mended`: no errors."""

    identity: Mapping[str, str] = field(default_factory=lambda: {"model": "a"})
    max_fragment_rows: int = 10
    is_restart: bool = False
    prunes: bool = False
    keeps_touched: bool = False
    retries_errors: bool = False
    is_mended: bool = False
    lease_timeout_s: float = 60.0


def annotated(table: pa.Table, factor: float = 0.5, *, is_mended: bool = False) -> pa.Table:
    """Stands for the model: the columns that every row has, and one head; `is_mended`: no row has an error."""
    lengths = np.array([len(text or "") for text in table["text"].to_pylist()], dtype=np.int32)
    new = {
        NUM_TOKENS: pa.array(lengths),
        NUM_WINDOWS: pa.array(np.ones_like(lengths)),
        ERROR: pa.array(["odd" if length % 7 == 0 and not is_mended else None for length in lengths], pa.string()),
        "half": pa.array(lengths * factor),
    }
    for name, column in new.items():
        table = table.append_column(name, column)
    return table


def run_once(
    inputs: str, output: str, options: Options | None = None, on_part: Callable[[], None] = lambda: None
) -> bool:
    """One run from its lease to its end, as jobs.annotate does it; whether everything is done then."""
    options = options or Options()
    plan = plan_fragments(job(inputs, output=output, max_fragment_rows=options.max_fragment_rows))
    whole = OutputFolder(*resolve_path(output, "output.path"))
    folder_of_run(whole, options.identity, is_restart=options.is_restart)
    with held_lease(whole, options.lease_timeout_s, print) as whole:
        folder = begin_run(whole, options.identity, is_restart=options.is_restart)
        run = RunOutput(
            folder,
            plan,
            options.identity,
            keeps_touched=options.keeps_touched,
            retries_errors=options.retries_errors,
        )
        run.begin(prunes=options.prunes)
        schema = output_schema(plan.carried_schema, SCHEMA_OF_HEADS)
        metadata = {"run": options.identity["model"]} if run.manifest.has_all_counts() else None
        staged, written = run.increment.staged, dict[str, bytes]()
        keep = keeper(written, folder, staged)
        sink = PartSink(folder, schema, staged_inputs=staged, metadata=metadata, on_part=keep)
        factor = 0.5 if options.identity == {"model": "a"} else 0.25
        for fragment in run.increment.todo:
            rows = with_keys(read_fragment(fragment, plan.read_schema, plan.filesystem), fragment)
            sink.write([annotated(rows, factor, is_mended=options.is_mended)], CONTEXT)
            on_part()
        is_done = run.end(prunes=options.prunes, written=written)
        if is_done and folder != whole:
            replace_output(whole)
    return is_done


def keeper(
    written: dict[str, bytes], folder: OutputFolder, staged: Collection[str]
) -> Callable[[PartRecord, Tally], None]:
    """Keeps the records of parts for the end of a run, as the run's actor does: those in a store."""

    def keep(part: PartRecord, _: Tally) -> None:
        if not folder.is_local:
            written.update([part_record_file(part, is_staged=part.input_path in staged)])

    return keep


def run_apart(inputs: str, output: str, options: Options | None = None, kill_at: int | None = None) -> int:
    """The same in a process of its own, which kills itself at its step `kill_at`; its exit code."""
    process = context().Process(target=_run_counted, args=(inputs, output, options, kill_at))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def context() -> Any:
    """Makes processes that begin at once: forked from one that has imported everything, and has no threads."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload([__name__])
    return forkserver


def _run_counted(inputs: str, output: str, options: Options | None, kill_at: int | None) -> None:
    steps = itertools.count()

    def step(path: object) -> None:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(output) and next(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event in STEPS:
            step(arguments[0])

    def counted(method: Callable[[OutputFolder, str], None]) -> Callable[[OutputFolder, str], None]:
        def call(folder: OutputFolder, path: str) -> None:
            step(f"{folder.root}/{path}")
            method(folder, path)

        return call

    # What Arrow does is no event of Python.
    for name in ("delete", "delete_folder"):
        setattr(OutputFolder, name, counted(getattr(OutputFolder, name)))
    sys.addaudithook(audit)
    run_once(inputs, output, options)

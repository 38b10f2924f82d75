"""Run a prepared job from begin to end: acquire the lease, annotate what is not done, commit."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.driver.call_recorder import CallRecorder, call_counts, new_call, recorded_call
from pipeline.driver.cluster_address import LOCAL
from pipeline.driver.local_device import require_local_device
from pipeline.driver.part_metadata import part_metadata
from pipeline.driver.prepared_run import PreparedRun
from pipeline.errors import ConfigError
from pipeline.exit_codes import DONE, PARTLY
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.input.fragment_table import FragmentSelection
from pipeline.input.planning import Plan
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.phases import Phases
from pipeline.monitoring.progress_counter import Counts, Size, Work
from pipeline.monitoring.tallies import Tally
from pipeline.output.call_history import CallRecord, Extent
from pipeline.output.card import write_card
from pipeline.output.failure_log import FailureLog
from pipeline.output.increment import describe_increment, describe_lasting_errors
from pipeline.output.lease import held_lease
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.restart import begin_run, replace_output, unfinished_restart
from pipeline.output.run_id import run_id
from pipeline.output.run_output import RunOutput
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

if TYPE_CHECKING:
    from pipeline.replica.deployment import Deployment
    from pipeline.replica.room import RoomWait

_MAX_FAILED_FILES = 100


@dataclass(frozen=True)
class RunResult:
    """How a run has ended.

    Attributes:
        num_fragments: number of fragments to do.
        counts: what was computed; None if there was nothing to do.
        num_rows: number of their rows.
        seconds: wall-clock time, including the start of Ray.
        phases: seconds of each phase by name, in their order.
        is_done: whether the output is complete.
        exit_code: `DONE`, or `PARTLY` if files or fragments could not be done.
        tally: errors by kind, labels by head and windows of what was computed.
    """

    num_fragments: int
    counts: Counts | None
    seconds: float
    is_done: bool
    exit_code: int
    num_rows: int = 0
    tally: Tally = field(default_factory=Tally)
    phases: Mapping[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[FragmentFailure]:
        """The fragments that failed in this run."""
        return [] if self.counts is None else list(self.counts.failures.values())

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where they failed, as far as it is known, by part path."""
        return {} if self.counts is None else self.counts.origins


def execute_run(
    prepared: PreparedRun,
    address: str,
    tell: Messages,
    phases: Phases,
    *,
    command: Sequence[str] = (),
) -> RunResult:
    """Do what is not done yet, while holding the lease of the output.

    `address` is from `reachable_cluster`; `phases` are those before, which are gone on with. `command` is for the
    record of the call.
    """
    output, options = prepared.output, prepared.options
    tell.run = run_id(output, prepared.identity)
    if address == LOCAL and Manifest(prepared.folder).identity() != dict(prepared.identity):
        # Before the output belongs to a run that can never compute anything here.
        require_local_device(prepared.job.model)
    lost = threading.Event()
    with held_lease(output, prepared.job.output.lease_timeout_s, tell, lost.set) as output:
        folder = begin_run(
            output,
            prepared.identity,
            is_restart=options.is_restart,
            max_fragment_rows=prepared.fragment_rows,
        )
        _require_planned_fragments(folder, prepared)
        tell(unfinished_restart(output, folder))
        run = prepared.output_in(folder)
        run.begin(prunes=options.prunes)
        tell(describe_increment(run.increment, prunes=options.prunes))
        if options.retries_errors:
            tell(describe_lasting_errors(run.inventory))
        failed = _current_failures(run)
        todo = prepared.fragments_to_do(run, failed)
        call = _call(prepared, run.increment.todo, todo, command)
        with recorded_call(output, call, phases.seconds) as recorder:
            started = time.monotonic()
            counts, tally, written = None, Tally(), None
            if todo:
                try:
                    counts, tally, written = _annotate(
                        prepared, run, todo, failed, address, tell, phases, recorder, lost
                    )
                except KeyboardInterrupt:
                    tell(recorder.so_far())
                    raise
                recorder.update(counts=call_counts(counts, tally))
            phases.begin("committing")
            is_done = _complete(prepared, run, output, written)
            phases.end()
            seconds = time.monotonic() - started
            has_failures = bool(prepared.plan.failed_files or (counts is not None and counts.failures))
            exit_code = PARTLY if has_failures else DONE
            recorder.update(exit_code=exit_code)
    return RunResult(len(todo), counts, seconds, is_done, exit_code, call.todo.num_rows, tally, phases.seconds)


def _require_planned_fragments(folder: OutputFolder, prepared: PreparedRun) -> None:
    """Raise ConfigError if the output was begun or replaced since planning, with other fragments."""
    kept = Manifest(folder).max_fragment_rows(prepared.identity)
    if kept != prepared.fragment_rows:
        raise ConfigError(
            f"input.max_fragment_rows: found that {folder.root} has been begun with {kept} rows by now, expected "
            f"{prepared.fragment_rows}, which auto came to before; run the same command again"
        )


def _complete(
    prepared: PreparedRun, run: RunOutput, output: OutputFolder, written: Mapping[str, bytes] | None
) -> bool:
    """Commit what is finished; whether everything is done, in which case a restart replaces the output."""
    is_done = run.end(prunes=prepared.options.prunes, written=written)
    if is_done and run.folder != output:
        replace_output(output)
    if is_done and run.inventory.has_all_counts:
        write_card(output, run.inventory, prepared.identity, prepared.heads, prepared.plan.carried_schema)
    return is_done


def _call(
    prepared: PreparedRun, undone: FragmentSelection, todo: Sequence[Fragment], command: Sequence[str]
) -> CallRecord:
    plan = prepared.plan
    num_rows = undone.num_rows if todo is undone else sum(fragment.num_rows for fragment in todo)
    return new_call(
        command=[printable(without_secret(argument)) for argument in command],
        is_restart=prepared.folder != prepared.output,
        in_all=Extent(len(plan.fragments), plan.num_rows),
        undone=Extent(len(undone), undone.num_rows),
        todo=Extent(len(todo), num_rows),
        num_failed_files=len(plan.failed_files),
        failed_files={
            printable(file.relative_path): file.reason for file in plan.failed_files[:_MAX_FAILED_FILES]
        },
        cost_per_hour=prepared.job.run.cost_per_hour,
    )


def _current_failures(run: RunOutput) -> dict[str, FragmentFailure]:
    """Failures of earlier runs; deletes the records of fragments that have a part now."""
    log = FailureLog(run.folder)
    failed = log.failures()
    for part_path in failed.keys() - ({f.part_path for f in run.increment.todo} if failed else set()):
        log.forget(part_path)
    return failed


def _annotate(
    prepared: PreparedRun,
    run: RunOutput,
    todo: Sequence[Fragment],
    failed: Mapping[str, FragmentFailure],
    address: str,
    tell: Messages,
    phases: Phases,
    recorder: CallRecorder,
    lost: threading.Event,
) -> tuple[Counts, Tally, Mapping[str, bytes]]:
    """As `annotate_fragments`, on a cluster; `lost` says whether the lease is."""
    job, heads = prepared.job, prepared.heads
    if address == LOCAL:
        require_local_device(job.model)
    phases.begin("connecting")
    # Imported late: Ray takes a second to load, and all that can be refused is refused before that.
    from pipeline.driver.cluster_address import describe_open_cluster  # noqa: PLC0415
    from pipeline.driver.dataset import annotate_fragments  # noqa: PLC0415
    from pipeline.driver.ray_connection import job_id, placement_timeout_s, ray_cluster  # noqa: PLC0415
    from pipeline.monitoring.metrics import RunMetrics  # noqa: PLC0415
    from pipeline.replica.room import RoomWait  # noqa: PLC0415

    tell(describe_open_cluster(address))
    with ray_cluster(address) as cores:
        if address != LOCAL:
            tell(f"in metrics and logs this run is called {tell.run}")
        phases.begin("placing")
        recorder.update(ray_job_id=job_id())
        wait = RoomWait(placement_timeout_s(job.model, address), phases, tell)
        deployment = _deployment(prepared, run, len(todo), cores, wait, tell)
        metadata = part_metadata(prepared.identity, heads) if run.manifest.has_all_counts() else None
        work, head_names = _work(prepared.plan, run, todo), [head.name for head in heads]
        metrics = RunMetrics(tell.run, work, head_names, len(deployment.layout.nodes))
        with metrics.counting_lease_loss(lost):
            done = annotate_fragments(
                job,
                prepared.plan,
                todo,
                heads,
                deployment,
                work,
                tell,
                phases,
                metrics,
                wait=wait,
                folder=run.folder,
                staged=run.increment.staged,
                failed_before=failed,
                metadata=metadata,
                record=lambda counts: recorder.renewed(lambda: call_counts(*counts())),
            )
        phases.begin("shutting down")
    return done


def _deployment(
    prepared: PreparedRun, run: RunOutput, num_fragments: int, cores: int, wait: "RoomWait", tell: Messages
) -> "Deployment":
    """The deployment of the job on the connected cluster; what "auto" comes to is recorded in the output."""
    from pipeline.monitoring.cluster_look import look_at_cluster  # noqa: PLC0415
    from pipeline.replica.deployment import deploy  # noqa: PLC0415
    from pipeline.replica.layout import describe_fewer_replicas  # noqa: PLC0415

    job, cluster = prepared.job, look_at_cluster()
    deployment = deploy(
        job,
        prepared.heads,
        cluster,
        cores,
        num_fragments=num_fragments,
        wait=wait,
        kept_token_budget=run.manifest.token_budget(),
    )
    tell(describe_fewer_replicas(job.model, deployment.layout, num_fragments, cluster))
    run.manifest.settle(dtype=deployment.shard.dtype, token_budget=deployment.token_budget)
    return deployment


def _work(plan: Plan, run: RunOutput, todo: Sequence[Fragment]) -> Work:
    left = run.increment.todo
    job = Size(len(plan.fragments), plan.num_rows)
    done_before = Size(job.num_fragments - len(left), job.num_rows - left.num_rows)
    return Work.of(todo, done_before=done_before, job=job)

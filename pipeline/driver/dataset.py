"""The Ray dataset of a job: read, encode, annotate and write fragments."""

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from itertools import cycle
from typing import Any

import pyarrow as pa
import ray
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data._internal.execution.operators.actor_pool_map_operator import (
    ActorPoolMapOperator,
    _ActorPool,
)
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.columns import output_schema
from pipeline.config.job import JobConfig
from pipeline.driver.kept_leaders import keeping_leaders
from pipeline.errors import JobError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head, output_types
from pipeline.input.planning import Plan
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.metrics import RunMetrics
from pipeline.monitoring.phases import Phases
from pipeline.monitoring.progress_counter import Counts, Work
from pipeline.monitoring.progress_display import ProgressDisplay
from pipeline.monitoring.repeated import repeated
from pipeline.monitoring.stacks import dump_stacks
from pipeline.monitoring.tallies import Tally
from pipeline.monitoring.watchdog import Watchdog
from pipeline.output.manifest import PartRecord, part_record_file
from pipeline.output.output_folder import OutputFolder
from pipeline.ray_actors import get_result, start_actor_here, unique_name
from pipeline.replica.deployment import Deployment
from pipeline.replica.placement import Place, replica_placement
from pipeline.replica.room import RoomWait
from pipeline.stages.annotate import NUM_FRAGMENTS_AT_ONCE, Annotator
from pipeline.stages.encode import block_encoder
from pipeline.stages.read import read_fragments
from pipeline.stages.run_actor import RunActor
from pipeline.stages.stage_runner import CrashCountingRunner
from pipeline.stages.write import PartSink

COUNTER_TIMEOUT_S = 30.0
# The driver keeps a task for each fragment of a dataset, so larger jobs run as several datasets. The same leaders,
# whose ranks have loaded the model, are there for all of them.
MAX_FRAGMENTS_AT_ONCE = 10_000
METRICS_INTERVAL_S = 5.0
# For metrics and records, also when the run is interrupted and has seconds to end.
LOOK_TIMEOUT_S = 3.0
# Of the memory of a node. An actor that asks for no resource at all is put on any node, whatever is preferred.
_LEADER_BYTES = 1


def annotate_fragments(
    job: JobConfig,
    plan: Plan,
    fragments: Sequence[Fragment],
    heads: list[Head],
    deployment: Deployment,
    work: Work,
    messages: Messages,
    phases: Phases,
    metrics: RunMetrics,
    *,
    wait: RoomWait,
    folder: OutputFolder,
    staged: Collection[str] = (),
    failed_before: Collection[str] = (),
    metadata: Mapping[str, str] | None = None,
    record: Callable[[Callable[[], tuple[Counts, Tally]]], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> tuple[Counts, Tally, Mapping[str, bytes]]:
    """Run the job on some of a plan's fragments, on the connected Ray cluster, once there is room for it.

    `work` is for the display, and `metrics` follow the counts; `staged`, `failed_before` and `metadata` are as of
    `PartSink`. `record` gets a function that tells how far the run is, and is entered as long as there is
    something to tell.

    The last of what is returned are records of written parts, as of `RunOutput.end`.
    """
    _configure_ray_data()
    counter_name = unique_name(RunActor)
    counter = start_actor_here(RunActor, name=counter_name)
    run_stage = CrashCountingRunner(counter)
    sink = _sink(job, folder, staged, plan.carried_schema, heads, counter, failed_before, metadata)
    encoder = block_encoder(job, heads, plan.carried_schema, run_stage)

    def read_counts() -> tuple[Counts, Tally]:
        # With a bound, as they are also asked for while a run ends early.
        counts: Counts = get_result(counter.counts.remote(), timeout_s=LOOK_TIMEOUT_S)
        return counts, get_result(counter.tally.remote(), timeout_s=LOOK_TIMEOUT_S)

    def record_metrics() -> None:
        metrics.update(*read_counts(), time.monotonic())

    # The groups are removed last: leaders would tell, and the display show, that they have lost their nodes.
    with (
        ExitStack() as placed,
        _watched(counter, job.model.stall_timeout_s, work, messages, phases, wait),
        record(read_counts),
        repeated(record_metrics, METRICS_INTERVAL_S, "metrics"),
        keeping_leaders() as leaders,
    ):
        places = placed.enter_context(replica_placement(deployment.layout, wait))
        phases.begin("loading the model")
        arguments = (heads, job.model, deployment, places, counter_name, metrics.run)
        for begin in range(0, len(fragments), MAX_FRAGMENTS_AT_ONCE):
            some = fragments[begin : begin + MAX_FRAGMENTS_AT_ONCE]
            read = read_fragments(some, plan.read_schema, plan.filesystem, run_stage=run_stage)
            encoded = read.map_batches(encoder, batch_size=None, batch_format="pyarrow")
            _annotated(encoded, places, arguments).write_datasink(sink)
            counts = _settled(counter, num_ended=begin + len(some))
            leaders.release()
    get_result(counter.end_replicas.remote())
    with suppress(RayError):
        record_metrics()
    return counts, *_ended(counter)


@contextmanager
def _watched(
    counter: ActorHandle[Any],
    stall_timeout_s: float,
    work: Work,
    messages: Messages,
    phases: Phases,
    wait: RoomWait,
) -> Iterator[None]:
    """Display the progress meanwhile, and end the process if there is none for `stall_timeout_s`."""
    with (
        ProgressDisplay(counter, work, messages, phases),
        Watchdog(
            lambda: (_progress(counter), wait.num_looks), stall_timeout_s, lambda: messages.dump(dump_stacks)
        ),
    ):
        yield


def _annotated(encoded: Dataset, places: Sequence[Place], arguments: tuple[Any, ...]) -> Dataset:
    """Annotate the blocks with a pool of `Annotator` actors, constructed with these arguments.

    Each is started on the node of one of the `places`, so that the loss of a node concerns the replicas on it
    alone, and can be restarted on any other node.

    Other actors are passed by name: a handle refers to an object of the driver, and an actor that was constructed
    with one cannot be restarted once that reference is lost.
    """
    nodes = cycle(place.node_id for place in places)

    def next_node() -> dict[str, Any]:
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(next(nodes), soft=True)}

    with warnings.catch_warnings():
        # There is no other way yet to tell the actors of a pool apart. Ray's version is pinned.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        return encoded.map_batches(
            Annotator,
            fn_constructor_args=arguments,
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                size=len(places),
                max_concurrent_calls_per_actor=NUM_FRAGMENTS_AT_ONCE,
                enable_true_multi_threading=True,
            ),
            num_cpus=0,
            memory=_LEADER_BYTES,
            ray_remote_args_fn=next_node,
        )


def _configure_ray_data() -> None:
    """Silence progress bars, send the constructor arguments of pool actors inline, and keep idle actors.

    Ray Data puts these few kilobytes into the object store, from which a restarted actor may not get them again
    (https://github.com/ray-project/ray/issues/53727). Near the end of a dataset it ends actors that have nothing
    to do, but these take over the fragments of leaders that have lost their ranks.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    ActorPoolMapOperator._map_transformer_ref = property(  # type: ignore[assignment]
        lambda operator: operator._map_transformer
    )
    ActorPoolMapOperator._data_context_ref = property(  # type: ignore[assignment]
        lambda operator: operator.data_context
    )
    _ActorPool._try_remove_idle_actor = _keeps_idle_actor  # type: ignore[method-assign]


def _keeps_idle_actor(self: _ActorPool) -> bool:
    """As the method that ends an idle actor: none was ended."""
    return False


def _settled(counter: ActorHandle[Any], num_ended: int) -> Counts:
    """The counts once so many fragments have ended, or after a timeout, as messages of workers may be lost."""
    deadline = time.monotonic() + COUNTER_TIMEOUT_S
    while True:
        counts: Counts = get_result(counter.counts.remote())
        if counts.num_parts + len(counts.failures) >= num_ended or time.monotonic() > deadline:
            get_result(counter.settle.remote())
            return counts
        time.sleep(0.05)


def _ended(counter: ActorHandle[Any]) -> tuple[Tally, Mapping[str, bytes]]:
    """End the run's actor; returns the tally and the records that it has kept."""
    tally: Tally = get_result(counter.tally.remote())
    records: Mapping[str, bytes] = {}
    # Without them the records are read; nothing that is done depends on this.
    with suppress(RayError):
        records = get_result(counter.records.remote(), timeout_s=COUNTER_TIMEOUT_S)
    ray.kill(counter)
    return tally, records


def _progress(counter: ActorHandle[Any]) -> tuple[int, int, int]:
    counts: Counts = get_result(counter.counts.remote(), timeout_s=COUNTER_TIMEOUT_S)
    return counts.num_tokens, counts.num_parts, len(counts.failures)


def _sink(
    job: JobConfig,
    folder: OutputFolder,
    staged: Collection[str],
    carried: pa.Schema,
    heads: list[Head],
    counter: ActorHandle[Any],
    failed_before: Collection[str],
    metadata: Mapping[str, str] | None,
) -> PartSink:
    # Reading records back from a disk is cheap, and a proof that they are there.
    is_local = folder.is_local

    def report(part: PartRecord, tally: Tally) -> None:
        record = None if is_local else part_record_file(part, is_staged=part.input_path in staged)
        counter.write_part.remote(part.part_path, part.num_rows, part.num_errors, tally, record)

    def report_failure(failure: FragmentFailure) -> None:
        reason: str | None = get_result(counter.fail_fragment.remote(failure))
        if reason is not None:
            raise JobError(reason)

    return PartSink(
        folder,
        output_schema(carried, output_types(heads)),
        job.output.compression,
        staged,
        on_part=report,
        on_failure=report_failure,
        run_stage=CrashCountingRunner(counter),
        failed_before=failed_before,
        heads=heads,
        metadata=metadata,
    )

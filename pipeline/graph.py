"""The Ray Dataset of a job: read Parquet, encode, annotate, write Parquet, a fragment at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, DataContext

from pipeline.actors import answer, start_actor_here
from pipeline.annotator import Annotator, AnnotatorSettings
from pipeline.columns import is_internal, output_schema
from pipeline.config import JobConfig
from pipeline.encoding import encode_fragment, load_tokenizer
from pipeline.fragments import Fragment
from pipeline.heads import Head, output_types
from pipeline.manifest import PartRecord
from pipeline.paths import resolve_path
from pipeline.placement import RankResources, replica_placement
from pipeline.planning import Plan
from pipeline.progress import Counts, ProgressCounter, ProgressDisplay
from pipeline.shard import ShardSettings
from pipeline.sink import PartSink
from pipeline.source import read_fragments

PLACEMENT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Deployment:
    """How a job is laid out on the cluster that it found.

    Attributes:
        num_replicas: shard groups.
        resources: of each rank.
    """

    num_replicas: int
    resources: RankResources
    shard: ShardSettings


def annotate_fragments(
    job: JobConfig, plan: Plan, fragments: Sequence[Fragment], heads: list[Head], deployment: Deployment
) -> Counts:
    """Run the job over some of a plan's fragments, on a Ray cluster that is connected already."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    carried = plan.carried_schema
    settings = AnnotatorSettings(
        heads=heads,
        tokenizer=job.model.path,
        shard=deployment.shard,
        resources=deployment.resources,
        tensor_parallel_size=job.model.tensor_parallel_size,
        token_budget=job.model.token_budget,
    )
    size = job.model.tensor_parallel_size
    counter = start_actor_here(ProgressCounter)
    fragment_bytes = {fragment.part_path: max(1, fragment.num_bytes) for fragment in fragments}
    num_rows = sum(fragment.num_rows for fragment in fragments)
    with (
        replica_placement(
            deployment.num_replicas, size, deployment.resources, timeout_s=PLACEMENT_TIMEOUT_S
        ) as lease,
        ProgressDisplay(counter, fragment_bytes, num_rows),
    ):
        dataset = (
            read_fragments(fragments, plan.read_schema, plan.filesystem)
            .map_batches(_encoder(job, heads, carried), batch_size=None, batch_format="pyarrow")
            .map_batches(
                Annotator,
                fn_constructor_args=(settings, lease, counter),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=deployment.num_replicas),
                num_cpus=0,
            )
        )
        dataset.write_datasink(_sink(job, carried, heads, counter))
        counts: Counts = answer(counter.counts.remote())
    ray.kill(counter)
    return counts


def _encoder(job: JobConfig, heads: list[Head], carried: pa.Schema) -> Callable[[pa.Table], pa.Table]:
    """The function that encodes a block; what it closes over is sent to the workers."""
    route, directory, kept = job.input.route, job.model.path, carried.names

    def encode(table: pa.Table) -> pa.Table:
        return encode_fragment(
            table,
            heads,
            load_tokenizer(directory),
            route=route,
            kept_columns=[*kept, *(name for name in table.column_names if is_internal(name))],
        )

    return encode


def _sink(job: JobConfig, carried: pa.Schema, heads: list[Head], counter: ActorHandle[Any]) -> PartSink:
    filesystem, root = resolve_path(job.output.path, "output.path")

    def report(part: PartRecord) -> None:
        # Waited for, so that the count is complete when the last part is in place.
        answer(counter.finish_part.remote(part.part_path, part.num_rows, part.num_errors))

    schema = output_schema(carried, output_types(heads))
    return PartSink(filesystem, root, schema, job.output.compression, on_part=report)

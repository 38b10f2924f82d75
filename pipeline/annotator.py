"""The leader: an actor of the Ray Data pipeline that takes a fragment and returns it with its heads' columns."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray
from ray.actor import ActorHandle

from pipeline.actors import answer
from pipeline.batching import plan_batches
from pipeline.blocks import whole_fragment
from pipeline.columns import SECONDS, SEQUENCE_PREFIX, sequence_column
from pipeline.decoding import decode_head
from pipeline.draws import row_hashes
from pipeline.heads import Head, sources_of
from pipeline.masking import Vocabulary
from pipeline.placement import RankResources
from pipeline.routing import route_rows, streams_of
from pipeline.sequences import SequenceSet, ShardBatch, gather_sequences, make_batch
from pipeline.shard import ShardSettings
from pipeline.shard_group import Replica


@dataclass(frozen=True)
class AnnotatorSettings:
    """What a leader needs to know; small enough to be sent to every one of them.

    Attributes:
        route: name of the route column.
        carries_route: whether that column stays in the output.
    """

    heads: Sequence[Head]
    vocabulary: Vocabulary
    shard: ShardSettings
    resources: RankResources
    tensor_parallel_size: int
    token_budget: int
    route: str | None
    carries_route: bool

    @property
    def num_sources(self) -> int:
        """How many columns of token ids the rows come with."""
        return len(sources_of(self.heads))


class Annotator:
    """Leader of one replica. It computes next to nothing itself: its ranks hold the CPUs and GPUs."""

    def __init__(self, settings: AnnotatorSettings, lease: ActorHandle[Any], progress: ActorHandle[Any]) -> None:
        self._settings = settings
        self._progress = progress
        self._streams = streams_of(settings.heads)
        # Ray restarts an actor under its old id, and so it gets its old placement group.
        leader_id = ray.get_runtime_context().get_actor_id()
        self._replica = Replica(
            settings.heads,
            settings.shard,
            settings.resources,
            settings.tensor_parallel_size,
            answer(lease.acquire.remote(leader_id)),
        )

    def __call__(self, table: pa.Table) -> pa.Table:
        """Annotate one fragment: encoded rows in, rows with the heads' columns out, in the same order."""
        started = time.monotonic()
        settings = self._settings
        fragment = whole_fragment(table)
        route = table.column(settings.route) if settings.route else None
        routes = route_rows(route, [head.name for head in settings.heads], table.num_rows)
        sequences = gather_sequences(
            [table.column(sequence_column(i)).combine_chunks() for i in range(settings.num_sources)],
            self._streams,
            routes.wanted,
            row_hashes(fragment.relative_path, fragment.first_row, fragment.num_rows),
            settings.vocabulary,
        )
        columns = self._compute(sequences, routes.wanted, table.num_rows)
        dropped = [name for name in table.column_names if name.startswith(SEQUENCE_PREFIX)]
        if settings.route and not settings.carries_route:
            dropped.append(settings.route)
        table = table.drop_columns(dropped)
        for name, column in columns.items():
            table = table.append_column(name, column)
        peak = max(self._replica.peak_memory(), default=0)
        self._progress.finish_fragment.remote(fragment.part_path, int(sequences.length.sum()), peak)
        seconds = time.monotonic() - started
        return table.append_column(SECONDS, pa.array(np.full(table.num_rows, seconds)))

    def _compute(self, sequences: SequenceSet, wanted: NDArray[np.bool_], num_rows: int) -> dict[str, pa.Array]:
        """Every head's column."""
        settings = self._settings
        names = [head.name for head in settings.heads]
        plan = self._plan(sequences)
        sent: deque[tuple[ShardBatch, dict[str, NDArray[np.int32]]]] = deque()

        def batches() -> Iterator[ShardBatch]:
            for indices in plan:
                sent.append(
                    make_batch(sequences, indices, self._streams, names, wanted, settings.vocabulary.mask_id)
                )
                yield sent[-1][0]

        values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
        rows: dict[str, list[NDArray[np.int32]]] = {name: [] for name in names}
        for result in self._replica.run(batches()):
            batch, batch_rows = sent.popleft()
            self._progress.add_tokens.remote(len(batch.input_ids))
            for name, value in result.items():
                values[name].append(value)
                rows[name].append(batch_rows[name])
        return {
            head.name: decode_head(head, *_join(values[head.name], rows[head.name], head), num_rows)
            for head in settings.heads
        }

    def _plan(self, sequences: SequenceSet) -> list[NDArray[np.int64]]:
        """Batches of each trunk apart."""
        trunks = [stream.trunk for stream in self._streams]
        batches = []
        for trunk in dict.fromkeys(trunks):
            is_here = np.array([t == trunk for t in trunks])[sequences.stream]
            indices = np.flatnonzero(is_here)
            plan = plan_batches(sequences.length[indices], self._settings.token_budget)
            batches += [indices[batch] for batch in plan]
        return batches


def _join(
    values: list[NDArray[np.float32]], rows: list[NDArray[np.int32]], head: Head
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Results of all batches end to end; of the right shape where there are none."""
    if not values:
        return np.zeros((0, head.config.num_labels), dtype=np.float32), np.zeros(0, dtype=np.int32)
    return np.concatenate(values), np.concatenate(rows)

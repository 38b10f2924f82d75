"""The leader: an actor of the Ray Data pipeline that takes a fragment and returns it with its heads' columns."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.actor import ActorHandle

from pipeline.actors import answer
from pipeline.blocks import whole_fragment
from pipeline.columns import SECONDS, is_encoded
from pipeline.encoding import load_tokenizer
from pipeline.head_columns import compute_head_columns
from pipeline.heads import Head
from pipeline.placement import RankResources
from pipeline.requests import ShardBatch
from pipeline.shard import Results, ShardSettings
from pipeline.shard_group import Replica


@dataclass(frozen=True)
class AnnotatorSettings:
    """What a leader needs to know; small enough to be sent to every one of them.

    Attributes:
        tokenizer: directory of the tokenizer.
    """

    heads: Sequence[Head]
    tokenizer: str
    shard: ShardSettings
    resources: RankResources
    tensor_parallel_size: int
    token_budget: int


class Annotator:
    """Leader of one replica. It computes next to nothing itself: its ranks hold the CPUs and GPUs."""

    def __init__(self, settings: AnnotatorSettings, lease: ActorHandle[Any], progress: ActorHandle[Any]) -> None:
        self._settings = settings
        self._progress = progress
        self._tokenizer = load_tokenizer(settings.tokenizer)
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
        fragment = whole_fragment(table)
        computed = compute_head_columns(
            table,
            fragment,
            self._settings.heads,
            self._tokenizer,
            self._run,
            token_budget=self._settings.token_budget,
        )
        output = table.drop_columns([name for name in table.column_names if is_encoded(name)])
        for name, column in computed.columns.items():
            output = output.append_column(name, column)
        peak = max(self._replica.peak_memory(), default=0)
        self._progress.finish_fragment.remote(fragment.part_path, computed.num_tokens, peak)
        seconds = time.monotonic() - started
        return output.append_column(SECONDS, pa.array(np.full(table.num_rows, seconds)))

    def _run(self, batches: Iterable[ShardBatch]) -> Iterator[Results]:
        """Run batches on the ranks, and tell how many tokens have passed."""
        sizes: list[int] = []

        def counted() -> Iterator[ShardBatch]:
            for batch in batches:
                sizes.append(len(batch.input_ids))
                yield batch

        for i, results in enumerate(self._replica.run(counted())):
            self._progress.add_tokens.remote(sizes[i])
            yield results

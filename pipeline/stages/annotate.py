"""The annotating stage: an actor that leads one replica and adds the columns of the heads to a fragment."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import ray

from model import XLMRobertaXLTokenizer
from pipeline.batching.batch_pieces import BatchOutcome
from pipeline.batching.fragment_columns import decode, prepare, run_batches
from pipeline.batching.lost_rows import with_problems
from pipeline.batching.shard_batch import ShardBatch
from pipeline.columns import is_encoded
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.monitoring.progress_counter import counted_bytes
from pipeline.ray_actors import find_actor, get_result, skip_exit_handlers
from pipeline.replica.model_runner import ShardSettings
from pipeline.replica.placement import RankResources
from pipeline.replica.recovery import Recovery
from pipeline.replica.shard_group import Replica
from pipeline.stages.blocks import failure_block, failure_in, whole_fragment
from pipeline.stages.stage_runner import CrashCountingRunner

NUM_FRAGMENTS_AT_ONCE = 2


@dataclass(frozen=True)
class AnnotatorSettings:
    """The settings of a leader, small enough to be sent to each of them.

    Attributes:
        tokenizer: directory of the tokenizer.
    """

    heads: Sequence[Head]
    tokenizer: str
    shard: ShardSettings
    resources: RankResources
    tensor_parallel_size: int
    token_budget: int
    stall_timeout_s: float


class Annotator:
    """Leader of one replica. It computes hardly anything itself: its ranks hold the CPUs and GPUs.

    `NUM_FRAGMENTS_AT_ONCE` threads call it: while one has the ranks, the others prepare the next fragment or
    decode the last one.
    """

    def __init__(self, settings: AnnotatorSettings, lease: str, progress: str) -> None:
        """Start the ranks.

        Args:
            lease: name of the actor that holds the placement groups.
            progress: name of the actor that counts.
        """
        skip_exit_handlers()
        self._settings = settings
        self._progress = find_actor(progress)
        self._run_stage = CrashCountingRunner(self._progress)
        # Ray restarts an actor under its old id, and so it gets its old placement group.
        leader_id = ray.get_runtime_context().get_actor_id()
        with ThreadPoolExecutor(1) as pool:
            tokenizer = pool.submit(load_tokenizer, settings.tokenizer)
            self._replica = Replica(
                settings.heads,
                settings.shard,
                settings.resources,
                settings.tensor_parallel_size,
                get_result(find_actor(lease).acquire.remote(leader_id)),
                # Ranks that stall are rebuilt long before the watchdog ends the run.
                batch_timeout_s=settings.stall_timeout_s / 3,
            )
            self._tokenizer: XLMRobertaXLTokenizer = tokenizer.result()
        # Ranks take the batches of one fragment at a time, so that a failure concerns that fragment alone.
        self._ranks: threading.Lock = threading.Lock()
        self._recovery: Recovery = Recovery(self._replica, settings.token_budget, self._progress.note.remote)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Annotate one fragment: encoded rows in, rows with the heads' columns out, in the same order."""
        if failure_in(table) is not None:
            return table
        fragment = whole_fragment(table)
        result = self._run_stage("annotate", fragment, lambda: self._annotate(table, fragment))
        return failure_block(result, fragment) if isinstance(result, FragmentFailure) else result

    def _annotate(self, table: pa.Table, fragment: Fragment) -> pa.Table:
        prepared = prepare(table, fragment, self._settings.heads, self._tokenizer)
        with self._ranks:
            computed = run_batches(prepared, self._run, token_budget=self._settings.token_budget)
            peak = max(self._replica.peak_memory(), default=0)
        decoded = decode(prepared, computed)
        output = table.drop_columns([name for name in table.column_names if is_encoded(name)])
        output = with_problems(output, decoded.problems)
        for name, column in decoded.columns.items():
            output = output.append_column(name, column)
        self._progress.finish_fragment.remote(
            fragment.part_path, counted_bytes(fragment), decoded.num_tokens, peak
        )
        return output

    def _run(self, batches: Iterable[ShardBatch]) -> Iterator[BatchOutcome]:
        """Run batches on the ranks, and report how many tokens have passed."""
        sizes: list[int] = []

        def counted() -> Iterator[ShardBatch]:
            for batch in batches:
                sizes.append(len(batch.input_ids))
                yield batch

        for i, outcome in enumerate(self._recovery.run(counted())):
            self._progress.add_tokens.remote(sizes[i])
            yield outcome

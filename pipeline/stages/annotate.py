"""The annotating stage: an actor that leads one replica and adds the heads' columns to each fragment."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import ray

from model import XLMRobertaXLTokenizer
from pipeline.batching.batch_pieces import BatchOutcome
from pipeline.batching.fragment_columns import decode, prepare, run_batches
from pipeline.batching.lost_rows import with_problems
from pipeline.batching.shard_batch import ShardBatch
from pipeline.columns import is_encoded
from pipeline.config.job import ModelSection
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.monitoring.progress_counter import counted_bytes
from pipeline.ray_actors import find_actor, get_result, skip_exit_handlers
from pipeline.replica.deployment import Deployment
from pipeline.replica.recovery import Recovery
from pipeline.replica.shard_group import Replica
from pipeline.stages.blocks import failure_block, failure_in, whole_fragment
from pipeline.stages.stage_runner import CrashCountingRunner

NUM_FRAGMENTS_AT_ONCE = 2


class Annotator:
    """The leader of one replica, whose ranks do most of the computation.

    `NUM_FRAGMENTS_AT_ONCE` threads call it: while one uses the ranks, the others prepare the next fragment or
    decode the last one.
    """

    def __init__(
        self, heads: Sequence[Head], model: ModelSection, deployment: Deployment, lease: str, progress: str
    ) -> None:
        """Start the ranks; `lease` and `progress` are names of the `GroupLease` and `ProgressCounter` actors."""
        skip_exit_handlers()
        self._heads = heads
        self._token_budget = deployment.token_budget
        self._progress = find_actor(progress)
        self._run_stage = CrashCountingRunner(self._progress)
        # Ray restarts an actor under its old id, so it gets the same placement group again.
        leader_id = ray.get_runtime_context().get_actor_id()
        with ThreadPoolExecutor(1) as pool:
            tokenizer = pool.submit(load_tokenizer, model.path)
            self._replica = Replica(
                heads,
                deployment.shard,
                deployment.resources,
                model.tensor_parallel_size,
                get_result(find_actor(lease).acquire.remote(leader_id)),
                # Stalled ranks are rebuilt long before the watchdog ends the run.
                batch_timeout_s=model.stall_timeout_s / 3,
            )
            self._tokenizer: XLMRobertaXLTokenizer = tokenizer.result()
        self._progress.finish_loading.remote()
        # The ranks run batches of one fragment at a time, so that a failure concerns that fragment alone.
        self._ranks: threading.Lock = threading.Lock()
        self._recovery: Recovery = Recovery(self._replica, self._token_budget, self._progress.note.remote)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Annotate the encoded rows of one fragment; the order of rows is kept."""
        if failure_in(table) is not None:
            return table
        fragment = whole_fragment(table)
        result = self._run_stage("annotate", fragment, lambda: self._annotate(table, fragment))
        return failure_block(result, fragment) if isinstance(result, FragmentFailure) else result

    def _annotate(self, table: pa.Table, fragment: Fragment) -> pa.Table:
        prepared = prepare(table, fragment, self._heads, self._tokenizer)
        with self._ranks:
            computed = run_batches(prepared, self._run, token_budget=self._token_budget)
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
        """Run batches on the ranks, and report the number of tokens."""
        sizes: list[int] = []

        def counted() -> Iterator[ShardBatch]:
            for batch in batches:
                sizes.append(len(batch.input_ids))
                yield batch

        for i, outcome in enumerate(self._recovery.run(counted())):
            self._progress.add_tokens.remote(sizes[i])
            yield outcome

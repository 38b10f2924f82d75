"""The annotating stage: an actor that leads one replica and adds the heads' columns to each fragment."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import ray
from ray.util.placement_group import PlacementGroup

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
from pipeline.monitoring.metrics import BatchSeconds
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.progress_counter import counted_bytes
from pipeline.ray_actors import find_actor, get_result, node_address, skip_exit_handlers
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
        self,
        heads: Sequence[Head],
        model: ModelSection,
        deployment: Deployment,
        groups: Sequence[PlacementGroup],
        dataset: int,
        run_actor: str,
        run: str,
    ) -> None:
        """Start the ranks in one of the placement `groups`, which are those of a dataset, by its number.

        `run_actor` is the name of the `RunActor`, `run` the id of the run in metrics.
        """
        skip_exit_handlers()
        self._heads = heads
        self._token_budget = deployment.token_budget
        self._progress = find_actor(run_actor)
        self._run_stage = CrashCountingRunner(self._progress)
        leader_id = ray.get_runtime_context().get_actor_id()
        self._group: int = get_result(self._progress.place.remote(dataset, leader_id))
        self._progress.set_state.remote(self._group, "waiting")
        self._part_path: str | None = None
        self._batch_seconds: BatchSeconds = BatchSeconds(run, self._group)
        with ThreadPoolExecutor(1) as pool:
            tokenizer = pool.submit(load_tokenizer, model.path)
            self._replica: Replica = Replica(
                heads,
                deployment.shard,
                deployment.resources,
                model.tensor_parallel_size,
                groups[self._group],
                # Stalled ranks are rebuilt long before the watchdog ends the run.
                batch_timeout_s=model.stall_timeout_s / 3,
                rebuilding=self._rebuilding,
            )
            self._tokenizer: XLMRobertaXLTokenizer = tokenizer.result()
        self._progress.finish_loading.remote(self._group)
        # The ranks run batches of one fragment at a time, so that a failure concerns that fragment alone.
        self._ranks: threading.Lock = threading.Lock()
        self._recovery: Recovery = Recovery(self._replica, self._token_budget, self._note)

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
            self._part_path = fragment.part_path
            computed = run_batches(prepared, self._run, token_budget=self._token_budget)
            peak = max(self._replica.peak_memory(), default=0)
        decoded = decode(prepared, computed)
        output = table.drop_columns([name for name in table.column_names if is_encoded(name)])
        output = with_problems(output, decoded.problems)
        for name, column in decoded.columns.items():
            output = output.append_column(name, column)
        self._progress.finish_fragment.remote(
            fragment.part_path, counted_bytes(fragment), decoded.num_tokens, peak, self._group
        )
        return output

    def _run(self, batches: Iterable[ShardBatch]) -> Iterator[BatchOutcome]:
        """Run batches on the ranks, and report the number of tokens and how long each batch took."""
        sent: list[tuple[int, float]] = []
        last_end = 0.0

        def counted() -> Iterator[ShardBatch]:
            for batch in batches:
                sent.append((len(batch.input_ids), time.monotonic()))
                yield batch

        for i, outcome in enumerate(self._recovery.run(counted())):
            num_tokens, begin = sent[i]
            now = time.monotonic()
            # A batch that was sent ahead has waited for the one before.
            seconds = now - max(begin, last_end)
            last_end = now
            self._batch_seconds.observe(seconds)
            self._progress.add_tokens.remote(num_tokens, self._group, seconds)
            yield outcome

    @contextmanager
    def _rebuilding(self) -> Iterator[None]:
        self._progress.set_state.remote(self._group, "rebuilding")
        yield
        self._progress.set_state.remote(self._group, "running")

    def _note(self, text: str) -> None:
        self._progress.note.remote(text, Origin(self._part_path, node=node_address()))

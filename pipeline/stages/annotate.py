"""The annotating stage: an actor that leads one replica and adds the heads' columns to each fragment."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError

from model import XLMRobertaXLTokenizer
from pipeline.batching.batch_pieces import BatchOutcome
from pipeline.batching.fragment_columns import decode, prepare, run_batches
from pipeline.batching.lost_rows import with_problems
from pipeline.batching.rank_batch import RankBatch
from pipeline.columns import is_encoded
from pipeline.config.job import ModelSection
from pipeline.errors import JobError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.monitoring.metrics import BatchSeconds
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.progress_counter import counted_bytes
from pipeline.ray_actors import find_actor, get_result, node_address, skip_exit_handlers
from pipeline.replica.deployment import Deployment
from pipeline.replica.placement import Place, address_of
from pipeline.replica.recovery import Recovery
from pipeline.replica.shard_group import PlacementLostError, Replica
from pipeline.stages.batch_reports import BatchReports
from pipeline.stages.blocks import failure_block, failure_in, whole_fragment
from pipeline.stages.stage_runner import CrashCountingRunner

NUM_FRAGMENTS_AT_ONCE = 2
# Between looks for a leader that has ranks, or room for ranks of one's own.
LOOK_INTERVAL_S = 1.0


class Annotator:
    """The leader of one replica, whose ranks do most of the computation.

    `NUM_FRAGMENTS_AT_ONCE` threads call it: while one uses the ranks, the others prepare the next fragment or
    decode the last one.

    If the node of the ranks is lost, their placement group waits for room on another one. Until then the leader,
    which needs no room, hands its fragments over to leaders that have ranks.
    """

    of_process: ClassVar["Annotator"]
    """The one of this process, for other leaders to call."""

    def __init__(
        self,
        heads: Sequence[Head],
        model: ModelSection,
        deployment: Deployment,
        places: Sequence[Place],
        run_actor: str,
        run: str,
    ) -> None:
        """Start the ranks in one of the `places`.

        `run_actor` is the name of the `RunActor`, `run` the id of the run in metrics.
        """
        skip_exit_handlers()
        self._heads = heads
        self._model = model
        self._deployment = deployment
        self._progress = find_actor(run_actor)
        self._run_stage = CrashCountingRunner(self._progress)
        context = ray.get_runtime_context()
        self._id = str(context.get_actor_id())
        nodes = [place.node_id for place in places]
        self._group: int = get_result(self._progress.place.remote(self._id, context.get_node_id(), nodes))
        self._place: Place = places[self._group]
        self._progress.set_state.remote(self._group, "waiting")
        self._part_path: str | None = None
        if context.was_current_actor_reconstructed:
            self._note(f"a leader whose process had ended was started again on {node_address()}")
        self._batch_seconds: BatchSeconds = BatchSeconds(run, self._group)
        self._reports: BatchReports = BatchReports(self._progress, self._group)
        # The ranks run batches of one fragment at a time, so that a failure concerns that fragment alone.
        self._ranks: threading.Lock = threading.Lock()
        self._recovery: Recovery | None = None
        self._replica: Replica | None = None
        self._ranks_on: str = self._place.node_id
        with ThreadPoolExecutor(1) as pool:
            tokenizer = pool.submit(load_tokenizer, model.path)
            self._start_ranks()
            self._tokenizer: XLMRobertaXLTokenizer = tokenizer.result()
        self._progress.finish_loading.remote(self._group)
        Annotator.of_process = self

    def __call__(self, table: pa.Table) -> pa.Table:
        """Annotate the encoded rows of one fragment; the order of rows is kept."""
        if failure_in(table) is not None:
            return table
        while True:
            annotated = self.annotate_here(table)
            if annotated is None:
                annotated = self._hand_over(table)
            if annotated is not None:
                return annotated
            time.sleep(LOOK_INTERVAL_S)

    def annotate_here(self, table: pa.Table) -> pa.Table | None:
        """Annotate the rows of one fragment, or None if there are no ranks, and no room for any at the moment."""
        fragment = whole_fragment(table)
        result = self._run_stage("annotate", fragment, lambda: self._annotate(table, fragment))
        if result is None or isinstance(result, FragmentFailure):
            # Otherwise what was computed is told with the end of the fragment.
            self._reports.flush()
        return failure_block(result, fragment) if isinstance(result, FragmentFailure) else result

    def _hand_over(self, table: pa.Table) -> pa.Table | None:
        """As `annotate_here`, by another leader."""
        other = get_result(self._progress.other_leader.remote(self._id))
        if other is None:
            return None
        try:
            annotated: pa.Table | None = get_result(other.__ray_call__.remote(annotate_in_process, table))
        except RayTaskError as error:
            if isinstance(error.cause, JobError):
                raise error.cause from None
            raise
        except RayError:
            # The other leader is gone too.
            return None
        return annotated

    def _annotate(self, table: pa.Table, fragment: Fragment) -> pa.Table | None:
        if self._replica is None and not self._place.has_room:
            return None
        prepared = prepare(table, fragment, self._heads, self._tokenizer)
        with self._ranks:
            if self._replica is None:
                self._start_ranks()
                if self._replica is None:
                    return None
                node = address_of(self._ranks_on)
                self._note(f"a shard group that had lost its node has found room on {node}, and runs again")
            self._part_path = fragment.part_path
            try:
                computed = run_batches(prepared, self._run, token_budget=self._deployment.token_budget)
                peak = max(self._replica.peak_memory(), default=0)
            except PlacementLostError:
                self._lose_ranks()
                return None
        decoded = decode(prepared, computed)
        output = table.drop_columns([name for name in table.column_names if is_encoded(name)])
        output = with_problems(output, decoded.problems)
        for name, column in decoded.columns.items():
            output = output.append_column(name, column)
        self._progress.finish_fragment.remote(
            fragment.part_path,
            counted_bytes(fragment),
            decoded.num_tokens,
            peak,
            self._group,
            self._reports.take(),
        )
        return output

    def _run(self, batches: Iterable[RankBatch]) -> Iterator[BatchOutcome]:
        """Run batches on the ranks, and report the number of tokens and how long each batch took."""
        assert self._recovery is not None
        sent: list[tuple[int, float]] = []
        last_end = 0.0

        def counted() -> Iterator[RankBatch]:
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
            self._reports.add(num_tokens, seconds)
            yield outcome

    def _start_ranks(self) -> None:
        """Start the ranks, if there is room for them."""
        try:
            self._replica = Replica(
                self._heads,
                self._deployment.shard,
                self._deployment.layout.resources,
                self._model.tensor_parallel_size,
                self._place,
                # Stalled ranks are rebuilt long before the watchdog ends the run.
                batch_timeout_s=self._model.stall_timeout_s / 3,
                rebuilding=self._rebuilding,
            )
        except PlacementLostError:
            self._lose_ranks()
            return
        self._ranks_on = self._place.current_node_id
        self._recovery = Recovery(self._replica, self._deployment.token_budget, self._note)
        self._progress.open_leader.remote(self._id, ray.get_runtime_context().current_actor)
        self._progress.set_state.remote(self._group, "running")

    def _lose_ranks(self) -> None:
        self._replica = self._recovery = None
        self._progress.close_leader.remote(self._id)
        self._progress.set_state.remote(self._group, "waiting")
        self._note(
            f"a shard group has lost its node ({address_of(self._ranks_on)}); the others do its fragments until "
            "there is room for it elsewhere"
        )

    @contextmanager
    def _rebuilding(self) -> Iterator[None]:
        self._progress.set_state.remote(self._group, "rebuilding")
        yield
        self._progress.set_state.remote(self._group, "running")

    def _note(self, text: str) -> None:
        self._progress.note.remote(text, Origin(self._part_path, node=node_address()))


def annotate_in_process(_: object, table: pa.Table) -> pa.Table | None:
    """Have the `Annotator` of this process annotate a fragment, or None if it has no ranks either."""
    return Annotator.of_process.annotate_here(table)

"""Compute the output columns of a fragment: prepare its batches, run them, and decode the results. No Ray."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model import XLMRobertaXLTokenizer
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.batch_pieces import BatchOutcome
from pipeline.batching.finite_results import not_finite_sequences
from pipeline.batching.lost_rows import lost_rows, row_problems
from pipeline.batching.masking import Vocabulary
from pipeline.batching.rank_batch import BatchOutput, RankBatch, make_batch
from pipeline.batching.result_collector import HeadOutputCollector
from pipeline.batching.row_random import row_hashes
from pipeline.batching.sequences import SequenceSet, gather_sequences
from pipeline.batching.token_budget_batches import plan_batches
from pipeline.batching.trunk_passes import TrunkPass, trunk_passes
from pipeline.columns import WANTED, context_column, sequence_column
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head, sequence_specs
from pipeline.tasks.contract import OrderedHeadOutput
from pipeline.tasks.requests import Places

RunBatches = Callable[[Iterable[RankBatch]], Iterator[BatchOutput | BatchOutcome]]
"""Runs batches and yields their results in order; may take further batches before it yields a result."""


@dataclass(frozen=True)
class FragmentColumns:
    """The output columns by head, and the number of tokens that went through a trunk for them.

    `problems`: by row, why heads that it asked for have no value for it.
    """

    columns: dict[str, pa.Array]
    num_tokens: int
    problems: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A fragment that is ready to be run.

    `wanted`: bool `[rows, heads]`; `contexts`: by spec, what decoding needs of the rows.
    """

    heads: Sequence[Head]
    tokenizer: XLMRobertaXLTokenizer
    passes: list[TrunkPass]
    sequences: SequenceSet
    wanted: NDArray[np.bool_]
    contexts: list[pa.Array]


@dataclass(frozen=True)
class FragmentOutput:
    """The results of all batches by head, and by lost sequence the reason."""

    collected: dict[str, HeadOutputCollector]
    lost: dict[int, str]


def prepare(
    table: pa.Table, fragment: Fragment, heads: Sequence[Head], tokenizer: XLMRobertaXLTokenizer
) -> Prepared:
    """Gather the sequences of a fragment. Does not need the ranks."""
    specs, passes = sequence_specs(heads), trunk_passes(heads)
    wanted = _whole(table, WANTED).flatten().to_numpy(zero_copy_only=False).reshape(-1, len(heads))
    sequences = gather_sequences(
        [WindowArrays.from_column(_whole(table, sequence_column(i))) for i in range(len(specs))],
        passes,
        wanted,
        row_hashes(fragment.relative_path, fragment.first_row, fragment.num_rows),
        Vocabulary(tokenizer.mask_token_id),
    )
    contexts = [_whole(table, context_column(i)) for i in range(len(specs))]
    return Prepared(heads, tokenizer, passes, sequences, wanted, contexts)


def run_batches(prepared: Prepared, run: RunBatches, *, token_budget: int) -> FragmentOutput:
    """Run the batches of a fragment. Does little besides waiting for the ranks."""
    sequences, passes, heads = prepared.sequences, prepared.passes, prepared.heads
    sent: deque[tuple[NDArray[np.int64], dict[str, Places]]] = deque()

    def batches() -> Iterator[RankBatch]:
        mask_id = prepared.tokenizer.mask_token_id
        for indices in _plan(sequences, passes, token_budget):
            batch, places = make_batch(sequences, indices, passes, heads, prepared.wanted, mask_id)
            sent.append((indices, places))
            yield batch

    collected = {head.name: HeadOutputCollector() for head in heads}
    lost: dict[int, str] = {}
    for found in run(batches()):
        outcome = found if isinstance(found, BatchOutcome) else BatchOutcome(found)
        indices, places = sent.popleft()
        lost_here = {int(indices[number]): reason for number, reason in outcome.lost.items()}
        lost |= lost_here
        for name, values in outcome.results.items():
            collected[name].add(values, places[name].without(list(lost_here)))
    return FragmentOutput(collected, lost)


def decode(prepared: Prepared, computed: FragmentOutput) -> FragmentColumns:
    """The heads' columns, in the order of the rows. Does not need the ranks."""
    heads, sequences = prepared.heads, prepared.sequences
    specs = sequence_specs(heads)
    not_finite = [not_finite_sequences(head, computed.collected[head.name]) for head in heads]
    lost_of = lost_rows(sequences, prepared.passes, prepared.wanted, computed.lost, not_finite)
    columns = {}
    for head, lost in zip(heads, lost_of, strict=True):
        i = specs.index(head.sequence_spec)
        collected, windows = computed.collected[head.name], sequences.windows_by_spec[i]
        output = collected.in_order(
            sequences, windows, prepared.contexts[i], head.config, prepared.tokenizer, without_rows=lost
        )
        columns[head.name] = decode_head(head, output)
    problems = row_problems({head.name: lost for head, lost in zip(heads, lost_of, strict=True)})
    return FragmentColumns(columns, int(sequences.length.sum()), problems)


def decode_head(head: Head, output: OrderedHeadOutput) -> pa.Array:
    """A head's column, one value for each row of the fragment, null without a result."""
    if not len(output.window):
        return pa.nulls(output.num_rows, head.output_type)
    column = head.task.decode(head.options, output)
    has_result = np.bincount(output.row, minlength=output.num_rows) > 0
    if not has_result.all():
        column = column.take(pa.array(np.arange(len(column)), mask=~has_result))
    return column.cast(head.output_type)


def _plan(sequences: SequenceSet, passes: Sequence[TrunkPass], token_budget: int) -> Iterator[NDArray[np.int64]]:
    """Plan batches separately for each trunk, and for prompts by their seed."""
    kinds = [(trunk_pass.trunk, trunk_pass.generates, trunk_pass.seed) for trunk_pass in passes]
    for kind in dict.fromkeys(kinds):
        indices = np.flatnonzero(np.array([k == kind for k in kinds])[sequences.trunk_pass])
        for batch in plan_batches(sequences.length[indices], token_budget):
            yield indices[batch]


def _whole(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()

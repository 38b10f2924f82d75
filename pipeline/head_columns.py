"""Encoded rows of a fragment -> the heads' columns, given anything that runs batches. Pure: no Ray here."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model import XLMRobertaXLTokenizer
from pipeline.batching import plan_batches
from pipeline.collecting import Collected
from pipeline.columns import WANTED, context_column, sequence_column
from pipeline.decoding import decode_head
from pipeline.draws import row_hashes
from pipeline.fragments import Fragment
from pipeline.heads import Head, sources_of
from pipeline.losses import losses_of_rows
from pipeline.masking import Vocabulary
from pipeline.requests import Places, ShardBatch, make_batch
from pipeline.routing import Stream, streams_of
from pipeline.sequences import SequenceSet, WindowArrays, gather_sequences
from pipeline.shard import Results
from pipeline.splitting import Outcome

RunBatches = Callable[[Iterable[ShardBatch]], Iterator[Results | Outcome]]
"""Results of each batch, in order, or outcomes where some may be lost; may take batches ahead of what it gives."""


@dataclass(frozen=True)
class HeadColumns:
    """Columns by head, in the order of the heads, and how many tokens passed a trunk for them.

    `problems`: by row, why heads that it asked for have nothing for it.
    """

    columns: dict[str, pa.Array]
    num_tokens: int
    problems: dict[int, str] = field(default_factory=dict)


def compute_head_columns(
    table: pa.Table,
    fragment: Fragment,
    heads: Sequence[Head],
    tokenizer: XLMRobertaXLTokenizer,
    run: RunBatches,
    *,
    token_budget: int,
) -> HeadColumns:
    """Batch the sequences of a fragment, run them, and decode what comes back.

    Args:
        table: the rows of `fragment` as `encode_fragment` leaves them.
        token_budget: most tokens of a batch.
    """
    sources, streams = sources_of(heads), streams_of(heads)
    wanted = _whole(table, WANTED).flatten().to_numpy(zero_copy_only=False).reshape(-1, len(heads))
    mask_id = tokenizer.mask_token_id
    sequences = gather_sequences(
        [WindowArrays.from_column(_whole(table, sequence_column(i))) for i in range(len(sources))],
        streams,
        wanted,
        row_hashes(fragment.relative_path, fragment.first_row, fragment.num_rows),
        Vocabulary(mask_id),
    )
    sent: deque[tuple[NDArray[np.int64], dict[str, Places]]] = deque()

    def batches() -> Iterator[ShardBatch]:
        for indices in _plan(sequences, streams, token_budget):
            batch, places = make_batch(sequences, indices, streams, heads, wanted, mask_id)
            sent.append((indices, places))
            yield batch

    collected = {head.name: Collected() for head in heads}
    lost: dict[int, str] = {}
    for found in run(batches()):
        outcome = found if isinstance(found, Outcome) else Outcome(found)
        indices, places = sent.popleft()
        lost_here = {int(indices[number]): reason for number, reason in outcome.lost.items()}
        lost |= lost_here
        for name, values in outcome.results.items():
            collected[name].add(values, places[name].without(list(lost_here)))
    losses = losses_of_rows(sequences, streams, wanted, lost)
    columns = {}
    for h, head in enumerate(heads):
        i = sources.index(head.source)
        context = _whole(table, context_column(i))
        results_in_order = collected[head.name].in_order(
            sequences, sequences.sources[i], context, without_rows=losses.rows_of[h]
        )
        columns[head.name] = decode_head(head, results_in_order, tokenizer)
    return HeadColumns(columns, int(sequences.length.sum()), losses.problems([head.name for head in heads]))


def _plan(sequences: SequenceSet, streams: Sequence[Stream], token_budget: int) -> Iterator[NDArray[np.int64]]:
    """Batches of each trunk apart, and prompts, which share a seed, apart from what is only read."""
    kinds = [(stream.trunk, stream.generates, stream.seed) for stream in streams]
    for kind in dict.fromkeys(kinds):
        indices = np.flatnonzero(np.array([k == kind for k in kinds])[sequences.stream])
        for batch in plan_batches(sequences.length[indices], token_budget):
            yield indices[batch]


def _whole(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()

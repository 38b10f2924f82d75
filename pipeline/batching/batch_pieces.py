"""Split batches into smaller ones, and join their results."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.tasks.requests import HeadRequest


@dataclass(frozen=True)
class BatchOutcome:
    """The results of a batch, some of whose sequences may be lost.

    Attributes:
        results: without the entries of lost sequences, and without heads that have no entries left.
        lost: by sequence of the batch, the reason, which contains no text of a row.
    """

    results: BatchOutput
    lost: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """Some sequences of a batch as a batch of their own.

    Attributes:
        sequences: int64 `[n]`, ascending, their indices in the whole batch.
        entries: by head, int64, the indices of the piece's request entries in the whole request.
    """

    batch: RankBatch
    sequences: NDArray[np.int64]
    entries: dict[str, NDArray[np.int64]]


def take_sequences(batch: RankBatch, sequences: NDArray[np.int64]) -> Piece:
    """The sequences with these indices (ascending, at least one), and the request entries for them."""
    lengths = batch.lengths.astype(np.int64)
    is_chosen = np.zeros(len(lengths), dtype=bool)
    is_chosen[sequences] = True
    # By how many places a token, or a sequence, moves forward.
    num_tokens_left_out = np.cumsum(np.where(is_chosen, 0, lengths))
    num_left_out = np.cumsum(~is_chosen)
    requests, entries = {}, {}
    for name, request in batch.requests.items():
        sequence = sequence_of_entries(request, lengths)
        kept = np.flatnonzero(is_chosen[sequence])
        if len(kept):
            shift = (num_tokens_left_out if request.of_tokens else num_left_out)[sequence[kept]]
            requests[name] = replace(
                request,
                index=(request.index[kept] - shift).astype(np.int32),
                labels=None if request.labels is None else request.labels[kept],
            )
            entries[name] = kept
    taken = replace(
        batch,
        input_ids=batch.input_ids[np.repeat(is_chosen, lengths)],
        lengths=batch.lengths[sequences],
        requests=requests,
    )
    return Piece(taken, sequences, entries)


def sequence_of_entries(request: HeadRequest, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sequence of the batch that each request entry belongs to."""
    index = request.index.astype(np.int64)
    return np.searchsorted(np.cumsum(lengths), index, side="right") if request.of_tokens else index


def halves(batch: RankBatch) -> list[Piece]:
    """Two pieces of about the same number of tokens, of a batch of two or more sequences."""
    ends = np.cumsum(batch.lengths, dtype=np.int64)
    middle = int(np.searchsorted(ends, ends[-1] / 2)) + 1
    middle = min(middle, len(ends) - 1)
    return [take_sequences(batch, part) for part in np.split(np.arange(len(ends)), [middle])]


def pieces_within(batch: RankBatch, token_budget: int) -> list[Piece]:
    """The batch as pieces of at most `token_budget` tokens, or of a single sequence."""
    if len(batch.input_ids) <= token_budget or len(batch.lengths) == 1:
        return [take_sequences(batch, np.arange(len(batch.lengths)))]
    return [
        take_sequences(batch, half.sequences[part.sequences])
        for half in halves(batch)
        for part in pieces_within(half.batch, token_budget)
    ]


def join_outcomes(outcomes: Sequence[tuple[Piece, BatchOutcome]]) -> BatchOutcome:
    """The outcome of a batch from those of disjoint pieces of it."""
    lost: dict[int, str] = {}
    arrays: dict[str, list[tuple[NDArray[np.generic], ...]]] = {}
    entries: dict[str, list[NDArray[np.int64]]] = {}
    for piece, outcome in outcomes:
        lost |= {int(piece.sequences[number]): reason for number, reason in outcome.lost.items()}
        is_lost = np.zeros(len(piece.sequences), dtype=bool)
        is_lost[list(outcome.lost)] = True
        lengths = piece.batch.lengths.astype(np.int64)
        for name, values in outcome.results.items():
            sequence = sequence_of_entries(piece.batch.requests[name], lengths)
            arrays.setdefault(name, []).append(values)
            entries.setdefault(name, []).append(piece.entries[name][~is_lost[sequence]])
    results = {}
    for name, parts in arrays.items():
        order = np.argsort(np.concatenate(entries[name]))
        results[name] = tuple(np.concatenate(values)[order] for values in zip(*parts, strict=True))
    return BatchOutcome(results, lost)

"""Recover from failures of the ranks: retry a batch, halve it, or bisect it for the sequences at fault. No Ray.

If the ranks die, they are rebuilt and the batch is retried once. If they die again, the batch is bisected to find
the sequences that crash them. The rest is then computed as one batch, so that results depend on which sequences
are at fault, and not on how they were found. A batch that does not fit in memory is halved; if that happens
repeatedly, so is the token budget.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.batching.batch_pieces import (
    BatchOutcome,
    Piece,
    halves,
    join_outcomes,
    pieces_within,
    take_sequences,
)
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.errors import PipelineError
from pipeline.replica.crash_search import CrashError, bisect_crashes
from pipeline.row_errors import MODEL_DIED, NOT_IN_MEMORY
from pipeline.storage.printable import number_of

NUM_BATCHES_IN_FLIGHT = 2
# After so many batches that did not fit, the token budget is halved for good.
NUM_HITS_BEFORE_HALVING = 3
MIN_TOKEN_BUDGET = 64


class RanksLostError(CrashError):
    """The ranks have died, stalled or failed on a batch, and have been rebuilt."""


class BatchTooLargeError(PipelineError):
    """A batch does not fit in the memory of a rank; the ranks are alive."""


class Ranks(Protocol):
    """The interface of a shard group. A ticket is outdated once the ranks have been rebuilt."""

    def send(self, batch: RankBatch) -> Any:
        """Queue a batch; returns a ticket."""

    def is_current(self, ticket: Any) -> bool:
        """Whether the ranks have not been rebuilt since the batch was sent."""

    def receive(self, ticket: Any) -> BatchOutput:
        """The results. Raises RanksLostError or BatchTooLargeError."""


class Recovery:
    """Runs batches of at most `token_budget` tokens; `note` is called with messages for the user."""

    def __init__(self, ranks: Ranks, token_budget: int, note: Callable[[str], None]) -> None:
        self.token_budget = token_budget
        self._ranks = ranks
        self._note = note
        self._num_hits = 0

    def run(self, batches: Iterable[RankBatch]) -> Iterator[BatchOutcome]:
        """The outcome of each batch, in order; a few batches are in flight at once.

        Raises UnisolatedError if the ranks crash on a batch, but not because of a few of its sequences.
        """
        waiting = iter(batches)
        in_flight: deque[list[tuple[Piece, Any]]] = deque()
        while True:
            in_flight = deque(
                [(piece, self._current(piece, ticket)) for piece, ticket in sent] for sent in in_flight
            )
            while len(in_flight) < NUM_BATCHES_IN_FLIGHT and (batch := next(waiting, None)) is not None:
                pieces = pieces_within(batch, self.token_budget)
                in_flight.append([(piece, self._ranks.send(piece.batch)) for piece in pieces])
            if not in_flight:
                return
            outcomes = [(piece, self._receive(piece, ticket)) for piece, ticket in in_flight.popleft()]
            # A single piece is the whole batch.
            yield outcomes[0][1] if len(outcomes) == 1 else join_outcomes(outcomes)

    def _current(self, piece: Piece, ticket: Any) -> Any:
        """The ticket, or a new one if it is outdated."""
        return ticket if self._ranks.is_current(ticket) else self._ranks.send(piece.batch)

    def _receive(self, piece: Piece, ticket: Any) -> BatchOutcome:
        """Wait for the outcome of a piece, with all recovery."""
        batch = piece.batch
        try:
            try:
                return BatchOutcome(self._ranks.receive(self._current(piece, ticket)))
            except BatchTooLargeError:
                self._count_hit(batch)
                return self._halve(batch)
        except RanksLostError as error:
            self._note(f"a shard group was rebuilt ({error.kind}), its batch is retried")
        try:
            return self._try(batch)
        except RanksLostError:
            return self._isolate(batch)

    def _try(self, batch: RankBatch) -> BatchOutcome:
        """Run a batch once, halving it if it does not fit. Raises RanksLostError."""
        try:
            return BatchOutcome(self._ranks.receive(self._ranks.send(batch)))
        except BatchTooLargeError:
            return self._halve(batch)

    def _count_hit(self, batch: RankBatch) -> None:
        self._num_hits += len(batch.lengths) > 1
        if self._num_hits == NUM_HITS_BEFORE_HALVING and self.token_budget > MIN_TOKEN_BUDGET:
            self._num_hits = 0
            self.token_budget //= 2
            self._note(
                f"{NUM_HITS_BEFORE_HALVING} batches did not fit in memory: from here on this replica takes "
                f"{self.token_budget} tokens a batch; lower model.token_budget"
            )

    def _halve(self, batch: RankBatch) -> BatchOutcome:
        """Run a batch that does not fit as two halves. Raises RanksLostError."""
        if len(batch.lengths) == 1:
            reason = (
                f"its sequence of {batch.lengths[0]} tokens {NOT_IN_MEMORY}; give the head a smaller window, or "
                "the ranks more memory"
            )
            return BatchOutcome({}, {0: reason})
        return join_outcomes([(piece, self._try(piece.batch)) for piece in halves(batch)])

    def _isolate(self, batch: RankBatch) -> BatchOutcome:
        """After two crashes: find the sequences that crash the ranks, and compute the rest."""
        self._note(
            f"the ranks died twice at a batch of {number_of(len(batch.lengths), 'sequence')}, which is bisected"
        )
        everything = np.arange(len(batch.lengths))
        parts = [everything] if len(everything) == 1 else [half.sequences for half in halves(batch)]
        found = join_outcomes(self._search(batch, parts))
        rest = everything[~np.isin(everything, list(found.lost))]
        if not len(rest):
            return found
        piece = take_sequences(batch, rest)
        try:
            computed = join_outcomes([(piece, self._try(piece.batch))])
        except RanksLostError:
            # The size of the batch crashes them, not a sequence: use the results of the pieces.
            return found
        return BatchOutcome(computed.results, found.lost | computed.lost)

    def _search(self, batch: RankBatch, parts: Sequence[NDArray[np.int64]]) -> list[tuple[Piece, BatchOutcome]]:
        """The outcomes of all sequences of a batch, in as few pieces as the ranks survive."""

        def attempt(sequences: NDArray[np.int64]) -> BatchOutcome:
            return self._try(take_sequences(batch, sequences).batch)

        def halve(sequences: NDArray[np.int64]) -> list[NDArray[np.int64]]:
            return [sequences[half.sequences] for half in halves(take_sequences(batch, sequences).batch)]

        size = number_of(len(batch.lengths), "sequence")
        where = f"a batch of {size}; look into the logs of the ranks for the cause"
        return [
            (take_sequences(batch, sequences), _lost(found) if isinstance(found, CrashError) else found)
            for sequences, found in bisect_crashes(parts, attempt, halve, where)
        ]


def _lost(crash: CrashError) -> BatchOutcome:
    """The outcome of a single sequence that crashes the ranks."""
    reason = (
        f"{MODEL_DIED} three times ({crash.kind}); take it out of the input, or look "
        "into the logs of the ranks for the cause"
    )
    return BatchOutcome({}, {0: reason})

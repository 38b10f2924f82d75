"""What a leader does when a batch goes wrong: try again, cut it, find the sequence that it is about. No Ray here.

Ranks that die at a batch may have died by chance: they are built anew and the batch is sent again. If they die
again, the batch is searched, half by half, for the sequences that they die of; the rest of it is then computed as
one batch, so that what comes out depends on those sequences, and not on how they were found.
A batch that does not fit in memory is halved; if that happens again and again, so is the token budget.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
from pipeline.batching.shard_batch import BatchOutput, ShardBatch
from pipeline.errors import PipelineError

NUM_BATCHES_IN_FLIGHT = 2
# Of one batch, while it is searched; six to find one sequence among 64, seven and two more to be sure of it.
MAX_DEATHS = 32
# So many batches that do not fit, and the budget is too large for good.
NUM_HITS_BEFORE_HALVING = 3
MIN_TOKEN_BUDGET = 64


class RanksLostError(PipelineError):
    """The ranks have died, stalled or failed at a batch, and stand anew; `kind` names the error."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the ranks were lost at a batch: {kind}")
        self.kind = kind


class BatchTooLargeError(PipelineError):
    """A batch does not fit in the memory of a rank; the ranks are alive."""


class UnisolatedError(PipelineError):
    """The ranks die of a batch, and not of a few of its sequences."""


class Ranks(Protocol):
    """A shard group as this module needs it. A ticket is outdated when the ranks have been built anew."""

    def send(self, batch: ShardBatch) -> Any:
        """Have the ranks compute a batch, after those sent before; returns a ticket."""

    def is_current(self, ticket: Any) -> bool:
        """Whether the ranks that it was sent to are there still."""

    def receive(self, ticket: Any) -> BatchOutput:
        """The results. Raises RanksLostError or BatchTooLargeError."""


class Recovery:
    """Runs batches on ranks, whatever happens.

    Args:
        token_budget: most tokens of a batch, as planned.
        note: is told what a user should know.
    """

    def __init__(self, ranks: Ranks, token_budget: int, note: Callable[[str], None]) -> None:
        self.token_budget = token_budget
        self._ranks = ranks
        self._note = note
        self._num_hits = 0
        self._num_deaths = 0

    def run(self, batches: Iterable[ShardBatch]) -> Iterator[BatchOutcome]:
        """BatchOutcome of each batch, in order; a few batches are under way at once.

        Raises:
            UnisolatedError: the ranks die of a batch whatever is left out of it.
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
            # A piece alone is the whole.
            yield outcomes[0][1] if len(outcomes) == 1 else join_outcomes(outcomes)

    def _current(self, piece: Piece, ticket: Any) -> Any:
        """A ticket for the ranks that stand now."""
        return ticket if self._ranks.is_current(ticket) else self._ranks.send(piece.batch)

    def _receive(self, piece: Piece, ticket: Any) -> BatchOutcome:
        """The outcome of a piece that has been sent."""
        batch = piece.batch
        try:
            try:
                return BatchOutcome(self._ranks.receive(self._current(piece, ticket)))
            except BatchTooLargeError:
                self._count_hit(batch)
                return self._halve(batch)
        except RanksLostError as error:
            self._note(f"a shard group was built anew ({error.kind}), its batch is tried again")
        try:
            return self._try(batch)
        except RanksLostError:
            return self._isolate(batch)

    def _try(self, batch: ShardBatch) -> BatchOutcome:
        """One try, with nothing else under way; memory is seen to. Raises RanksLostError."""
        try:
            return BatchOutcome(self._ranks.receive(self._ranks.send(batch)))
        except BatchTooLargeError:
            return self._halve(batch)

    def _count_hit(self, batch: ShardBatch) -> None:
        self._num_hits += len(batch.lengths) > 1
        if self._num_hits == NUM_HITS_BEFORE_HALVING and self.token_budget > MIN_TOKEN_BUDGET:
            self._num_hits = 0
            self.token_budget //= 2
            self._note(
                f"{NUM_HITS_BEFORE_HALVING} batches did not fit in memory: from here on this replica takes "
                f"{self.token_budget} tokens a batch; lower model.token_budget"
            )

    def _halve(self, batch: ShardBatch) -> BatchOutcome:
        """Both halves of a batch that does not fit. Raises RanksLostError."""
        if len(batch.lengths) == 1:
            reason = (
                f"its sequence of {batch.lengths[0]} tokens does not fit in the memory of a rank; give the head a "
                "smaller window, or the ranks more memory"
            )
            return BatchOutcome({}, {0: reason})
        return join_outcomes([(piece, self._try(piece.batch)) for piece in halves(batch)])

    def _isolate(self, batch: ShardBatch) -> BatchOutcome:
        """Find the sequences that the ranks die of, after two tries in vain; compute the rest."""
        self._note(f"the ranks died twice at a batch of {len(batch.lengths)} sequences, which is searched")
        self._num_deaths = 0
        everything = np.arange(len(batch.lengths))
        parts = [everything] if len(everything) == 1 else [half.sequences for half in halves(batch)]
        found = join_outcomes([outcome for part in parts for outcome in self._search(batch, part)])
        rest = everything[~np.isin(everything, list(found.lost))]
        if not len(rest):
            return found
        piece = take_sequences(batch, rest)
        try:
            computed = join_outcomes([(piece, self._try(piece.batch))])
        except RanksLostError:
            # They die of how much it is, and not of what it is: the pieces are what there is.
            return found
        return BatchOutcome(computed.results, found.lost | computed.lost)

    def _search(self, batch: ShardBatch, sequences: NDArray[np.int64]) -> list[tuple[Piece, BatchOutcome]]:
        """Outcomes of these sequences of a batch, in as few pieces as the ranks survive."""
        piece = take_sequences(batch, sequences)
        try:
            return [(piece, self._try(piece.batch))]
        except RanksLostError as error:
            self._count_death(batch)
            if len(sequences) == 1:
                return [(piece, self._last_try(batch, piece, error))]
        return [
            outcome for half in halves(piece.batch) for outcome in self._search(batch, sequences[half.sequences])
        ]

    def _last_try(self, batch: ShardBatch, piece: Piece, error: RanksLostError) -> BatchOutcome:
        """The last try for a sequence that the ranks have died of while it was alone."""
        try:
            return self._try(piece.batch)
        except RanksLostError:
            self._count_death(batch)
        reason = (
            f"the model process died on this row three times ({error.kind}); take it out of the input, or look "
            "into the logs of the ranks for the cause"
        )
        return BatchOutcome({}, {0: reason})

    def _count_death(self, batch: ShardBatch) -> None:
        self._num_deaths += 1
        if self._num_deaths > MAX_DEATHS:
            raise UnisolatedError(
                f"the ranks died {self._num_deaths} times at parts of a batch of {len(batch.lengths)} sequences; "
                "look into the logs of the ranks for the cause"
            )

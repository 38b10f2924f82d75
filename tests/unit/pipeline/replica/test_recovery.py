"""Ranks that die of some sequences, or have little memory: what is lost, what is not, and what is tried."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest

from pipeline.batching.batch_pieces import BatchOutcome
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.replica.crash_search import MAX_CRASHES, UnisolatedError
from pipeline.replica.recovery import NUM_HITS_BEFORE_HALVING, BatchTooLargeError, RanksLostError, Recovery
from pipeline.tasks.requests import HeadRequest

BUDGET = 1000
DIED = "the model process died on this row three times (ActorDiedError)"


@dataclass
class FakeRanks:
    """Ranks that give each sequence's first token.

    `poison`: they die of batches with these. `memory`: most tokens that fit. `accidents`: numbers of tries at
    which they die of nothing. `dies_over`: they die of batches of more tokens.
    """

    poison: set[int] = field(default_factory=set)
    memory: int = 10**9
    accidents: set[int] = field(default_factory=set)
    dies_over: int = 10**9
    generation: int = 0
    tries: list[list[int]] = field(default_factory=list)

    def send(self, batch: RankBatch) -> tuple[int, RankBatch]:
        return self.generation, batch

    def is_current(self, ticket: tuple[int, RankBatch]) -> bool:
        return ticket[0] == self.generation

    def receive(self, ticket: tuple[int, RankBatch]) -> BatchOutput:
        assert self.is_current(ticket)
        batch = ticket[1]
        ids = batch.input_ids[np.cumsum(batch.lengths) - batch.lengths]
        self.tries.append(ids.tolist())
        num_tokens = len(batch.input_ids)
        if len(self.tries) - 1 in self.accidents or self.poison & set(ids.tolist()) or num_tokens > self.dies_over:
            self.generation += 1
            raise RanksLostError("ActorDiedError")
        if num_tokens > self.memory:
            raise BatchTooLargeError
        return {"head": (ids[batch.requests["head"].index],)}


def batch(ids: Iterable[int], length: int = 10) -> RankBatch:
    """Sequences of equal length, each full of its number."""
    ids = np.array(list(ids), dtype=np.int32)
    lengths = np.full(len(ids), length, dtype=np.int32)
    request = HeadRequest(np.arange(len(ids), dtype=np.int32))
    return RankBatch("trunk", np.repeat(ids, length), lengths, {"head": request})


def run(ranks: FakeRanks, batches: Iterable[RankBatch], note: Callable[[str], None] = print) -> list[BatchOutcome]:
    return list(Recovery(ranks, BUDGET, note).run(batches))


def ids_of(outcome: BatchOutcome) -> list[int]:
    return outcome.results["head"][0].tolist() if outcome.results else []


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("num_poison", [1, 2])
def test_sequences_that_ranks_die_of_are_found_and_the_rest_is_computed_as_one(n: int, num_poison: int) -> None:
    poison = {0} if num_poison == 1 else {n // 3, n - 1}
    ranks = FakeRanks(poison={100 + number for number in poison})
    before, outcome, after = run(ranks, [batch([1, 2]), batch(range(100, 100 + n)), batch([3, 4])])
    assert outcome.lost.keys() == poison
    assert all(reason.startswith(DIED) for reason in outcome.lost.values())
    rest = [100 + number for number in range(n) if number not in poison]
    assert ids_of(outcome) == rest
    if rest:
        # The numbers of a row hang on the batch that it is in.
        assert rest in ranks.tries
        assert ranks.tries.index(rest) > ranks.tries.index(list(range(100, 100 + n)))
    assert (ids_of(before), ids_of(after)) == ([1, 2], [3, 4])
    # Twice as a whole, and at least once more.
    for number in poison:
        assert sum(100 + number in ids for ids in ranks.tries) >= 3


def test_a_poison_sequence_costs_as_many_deaths_as_it_takes_halves_to_find_it() -> None:
    ranks = FakeRanks(poison={117})
    run(ranks, [batch(range(100, 164))])
    # Two of the whole, one of each half that holds it down to the one, and one more of that to be sure.
    assert ranks.generation == 2 + 6 + 1


@pytest.mark.parametrize("accidents", [{0}, {1}, {0, 2}, {0, 1}, {0, 1, 2}])
def test_accidents_change_nothing(accidents: set[int]) -> None:
    """Also two of the same batch, which is then searched in vain, and computed as one in the end."""
    ranks = FakeRanks(accidents=accidents)
    batches = [batch(range(100 * i, 100 * i + 8)) for i in range(4)]
    outcomes = run(ranks, batches)
    assert [ids_of(outcome) for outcome in outcomes] == [list(range(100 * i, 100 * i + 8)) for i in range(4)]
    assert not any(outcome.lost for outcome in outcomes)
    for i in range(4):
        last = [ids for ids in ranks.tries if ids[0] // 100 == i][-1]
        assert len(last) == 8


def test_ranks_that_die_of_how_much_it_is_get_pieces() -> None:
    ranks = FakeRanks(dies_over=45)
    [outcome] = run(ranks, [batch(range(16))])
    assert (ids_of(outcome), outcome.lost) == (list(range(16)), {})


def test_ranks_that_die_of_everything_are_not_tried_for_ever() -> None:
    ranks = FakeRanks(dies_over=0)
    with pytest.raises(UnisolatedError, match=f"died {MAX_CRASHES + 1} times at parts of a batch of 100 seq"):
        run(ranks, [batch(range(100))])
    assert ranks.generation == MAX_CRASHES + 3


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    ranks = FakeRanks(memory=30)
    notes: list[str] = []
    [outcome] = run(ranks, [batch(range(8))], notes.append)
    assert (ids_of(outcome), outcome.lost) == (list(range(8)), {})
    assert [len(ids) for ids in ranks.tries] == [8, 4, 2, 2, 4, 2, 2]
    assert (ranks.generation, notes) == (0, [])


def test_after_a_few_hits_the_budget_is_halved_for_good() -> None:
    ranks = FakeRanks(memory=BUDGET // 2)
    notes: list[str] = []
    recovery = Recovery(ranks, BUDGET, notes.append)
    n = BUDGET // 10
    outcomes = list(recovery.run(batch(range(n)) for _ in range(8)))
    assert [ids_of(outcome) for outcome in outcomes] == [list(range(n))] * 8
    assert recovery.token_budget == BUDGET // 2
    # Those hits, the batch that was under way at that time, and then no more.
    assert sum(len(ids) == n for ids in ranks.tries) <= NUM_HITS_BEFORE_HALVING + 1
    assert notes == [
        "3 batches did not fit in memory: from here on this replica takes 500 tokens a batch; "
        "lower model.token_budget"
    ]
    num_tries = len(ranks.tries)
    assert ids_of(*recovery.run([batch(range(n))])) == list(range(n))
    assert len(ranks.tries) == num_tries + 2


def test_a_sequence_that_does_not_fit_alone_is_lost_and_no_other() -> None:
    ranks = FakeRanks(memory=30)
    large = RankBatch(
        "trunk",
        np.repeat(np.array([7, 8, 9], dtype=np.int32), [50, 10, 10]),
        np.array([50, 10, 10], dtype=np.int32),
        {"head": HeadRequest(np.arange(3, dtype=np.int32))},
    )
    for outcome in run(ranks, [large] * 5):
        assert ids_of(outcome) == [8, 9]
        assert list(outcome.lost) == [0]
        assert outcome.lost[0].startswith("its sequence of 50 tokens does not fit in the memory of a rank")


def test_death_and_lack_of_memory_in_one_batch() -> None:
    ranks = FakeRanks(poison={5}, memory=30)
    notes: list[str] = []
    [outcome] = run(ranks, [batch(range(8))], notes.append)
    assert ids_of(outcome) == [0, 1, 2, 3, 4, 6, 7]
    assert list(outcome.lost) == [5]
    assert notes == [
        "a shard group was rebuilt (ActorDiedError), its batch is retried",
        "the ranks died twice at a batch of 8 sequences, which is bisected",
    ]

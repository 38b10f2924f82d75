from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.batching.token_budget_batches import plan_batches

LENGTHS = st.lists(st.integers(1, 600), max_size=120).map(lambda values: np.array(values, dtype=np.int32))
BUDGETS = st.integers(1, 2000)


@given(LENGTHS, BUDGETS)
def test_every_sequence_is_in_one_batch_and_the_longest_come_first(
    lengths: NDArray[np.int32], token_budget: int
) -> None:
    order = np.concatenate([np.zeros(0, dtype=np.int64), *plan_batches(lengths, token_budget)])
    assert order.tolist() == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@given(LENGTHS, BUDGETS)
def test_the_budget_is_kept_and_used_up(lengths: NDArray[np.int32], token_budget: int) -> None:
    batches = plan_batches(lengths, token_budget)
    for i, batch in enumerate(batches):
        num_tokens = lengths[batch].sum()
        assert num_tokens <= token_budget or len(batch) == 1
        if i + 1 < len(batches):
            assert num_tokens + lengths[batches[i + 1][0]] > token_budget


@given(LENGTHS, BUDGETS, st.randoms())
def test_the_plan_depends_on_the_lengths_alone(
    lengths: NDArray[np.int32], token_budget: int, random: Random
) -> None:
    plan = plan_batches(lengths, token_budget)
    again = plan_batches(lengths.copy(), token_budget)
    assert [batch.tolist() for batch in plan] == [batch.tolist() for batch in again]
    order = list(range(len(lengths)))
    random.shuffle(order)
    shuffled = plan_batches(lengths[order], token_budget)
    assert [lengths[batch].tolist() for batch in plan] == [lengths[order][batch].tolist() for batch in shuffled]


@pytest.mark.parametrize(
    ("lengths", "token_budget", "expected"),
    [
        ([], 10, []),
        ([3, 5, 2], 10, [[1, 0, 2]]),
        ([3, 5, 2], 8, [[1, 0], [2]]),
        ([3, 50, 2], 8, [[1], [0, 2]]),
        ([4, 4, 4, 4], 8, [[0, 1], [2, 3]]),
    ],
)
def test_by_hand(lengths: list[int], token_budget: int, expected: list[list[int]]) -> None:
    plan = plan_batches(np.array(lengths, dtype=np.int32), token_budget)
    assert [batch.tolist() for batch in plan] == expected


def test_more_tokens_than_fit_in_32_bits() -> None:
    longest = np.iinfo(np.int32).max
    plan = plan_batches(np.full(5, longest, dtype=np.int32), 2 * longest)
    assert [batch.tolist() for batch in plan] == [[0, 1], [2, 3], [4]]

"""Which rows of a generation are said to hang on logits that are not finite."""

import pytest
import torch

from model.generation.logits_watch import LogitsWatch

INF, NAN = torch.inf, torch.nan
END = 2
NUM_USABLE = 5
FINE = [0.0, 1.0, 2.0, -1.0, 3.0, -INF, NAN]
"""Ids behind the usable ones may have any logits."""


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_row_that_is_not_finite_can_only_end(bad: float) -> None:
    logits = torch.tensor([FINE, [0.0, 1.0, 2.0, bad, 3.0, -INF, -INF], FINE])
    before = logits.clone()
    found = LogitsWatch(NUM_USABLE, END)(logits)
    assert torch.equal(found[[0, 2]].nan_to_num(), before[[0, 2]].nan_to_num())
    assert found[1].tolist() == [-INF, -INF, 0.0, -INF, -INF, -INF, -INF]


def watch_of(*steps: list[bool]) -> LogitsWatch:
    """One that has seen these steps of rows, each with finite logits or not."""
    watch = LogitsWatch(NUM_USABLE, END)
    for step in steps:
        watch(torch.tensor([FINE if is_finite else [NAN] * len(FINE) for is_finite in step]))
    return watch


def test_what_follows_the_end_does_not_matter() -> None:
    watch = watch_of([True, True, False, True], [True, False, False, True], [False, False, False, True])
    # The first has ended in the second step, and the second because of it; the last has not ended.
    found = watch.is_finite(torch.tensor([1, 1, 0, 3]), 1)
    assert found.tolist() == [True, False, False, True]


def test_any_beam_of_a_prompt_counts() -> None:
    watch = watch_of([True] * 6, [True, True, True, False, True, True], [True] * 6)
    assert watch.is_finite(torch.tensor([3, 3, 3]), 2).tolist() == [True, False, True]

"""Which penalties are tried and which head is kept."""

import math
from dataclasses import dataclass

import pytest

from jobs.fit.search.candidates import Candidate, search_penalties, simplest_within_one_error


@dataclass(frozen=True)
class Row:
    candidate: Candidate


def row(
    metric: float, *, parameters: int = 10, loss: float = 1.0, penalty: float = 1.0, error: float = 0.1
) -> Row:
    return Row(Candidate("linear", (1,), penalty, metric, error, loss, parameters, 1, 0.0))


@pytest.mark.parametrize(
    ("best_at", "expected"),
    [
        (1e-2, [1, 1e-1, 1e-2, 1e-3]),
        (1e-5, [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]),
        (1e3, [1, 1e-1, 1e-2, 1e-3, 10, 100]),
    ],
)
def test_edges_are_extended_as_often_as_allowed(best_at: float, expected: list[float]) -> None:
    starts = {}

    def try_one(penalty: float, start: Row | None) -> Row:
        starts[penalty] = start and start.candidate.penalty
        return row(-abs(math.log10(penalty / best_at)), penalty=penalty)

    limit = 2 if best_at > 1 else 3
    tried = search_penalties([1e-3, 1e-1, 1, 1e-2], limit, try_one)
    assert [each.candidate.penalty for each in tried] == pytest.approx(expected)
    assert starts[1] is None
    assert starts[1e-1] == 1


def test_the_simplest_within_an_error_of_the_best_is_kept() -> None:
    best, simple, too_bad = row(0.9, parameters=500), row(0.81, parameters=20), row(0.79, parameters=5)
    assert simplest_within_one_error([best, simple, too_bad]) is simple


def test_of_equally_simple_ones_the_better_is_kept_and_loss_decides_ties() -> None:
    worse, better, surer = row(0.85), row(0.88), row(0.88, loss=0.5)
    assert simplest_within_one_error([worse, better, surer]) is surer

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.replica.crash_search import MAX_CRASHES, UnisolatedError
from pipeline.stages.crash_isolation import crashing_rows


def dies_of(deadly: set[int]) -> Callable[[int, int], bool]:
    return lambda begin, end: deadly.isdisjoint(range(begin, end))


@given(st.integers(1, 300), st.data())
def test_the_rows_are_found_whichever_they_are(num_rows: int, data: st.DataObject) -> None:
    deadly = data.draw(st.sets(st.integers(0, num_rows - 1), max_size=3))
    assert crashing_rows(num_rows, dies_of(deadly)) == sorted(deadly)


def test_one_row_among_many_costs_two_tries_a_halving() -> None:
    tries = []

    def survives(begin: int, end: int) -> bool:
        tries.append((begin, end))
        return not begin <= 700 < end

    assert crashing_rows(2048, survives) == [700]
    assert len(tries) <= 2 * 11 + 2


def test_a_row_that_survives_its_second_try_is_none() -> None:
    deaths = iter([False, False, True])
    assert crashing_rows(2, lambda begin, end: next(deaths, True)) == []


def test_a_fragment_that_kills_by_what_it_is_as_a_whole_has_no_such_row() -> None:
    assert crashing_rows(64, lambda begin, end: end - begin < 40) == []


def test_too_many_of_them_are_not_searched_for() -> None:
    with pytest.raises(UnisolatedError, match=f"died {MAX_CRASHES + 1} times at parts of a fragment of 300 rows"):
        crashing_rows(300, lambda begin, end: False)

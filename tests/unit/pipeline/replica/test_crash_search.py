import numpy as np
import pytest

from pipeline.replica.crash_search import MAX_CRASHES, CrashError, Items, UnisolatedError, bisect_crashes


def halve(items: Items) -> list[Items]:
    return np.split(items, [len(items) // 2])


class Attempts:
    """Crashes at some items; the kind of an error is the number of the attempt."""

    def __init__(self, culprits: set[int]) -> None:
        self.culprits = culprits
        self.seen: list[list[int]] = []

    def __call__(self, items: Items) -> int:
        self.seen.append(items.tolist())
        if self.culprits.intersection(items.tolist()):
            raise CrashError(str(len(self.seen)))
        return int(items.sum())


def test_parts_that_survive_have_results_and_culprits_the_first_of_their_own_errors() -> None:
    attempts = Attempts({2})
    found = bisect_crashes([np.arange(4), np.arange(4, 6)], attempts, halve, "")
    assert attempts.seen == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [2], [3], [4, 5]]
    assert [items.tolist() for items, _ in found] == [[0, 1], [2], [3], [4, 5]]
    results = [result for _, result in found]
    assert isinstance(results[1], CrashError)
    assert results[1].kind == "4"
    assert [results[0], *results[2:]] == [1, 3, 9]


def test_crashes_of_all_parts_are_counted_together() -> None:
    attempts = Attempts(set(range(200)))
    with pytest.raises(
        UnisolatedError, match=f"^processes died {MAX_CRASHES + 1} times at parts of a batch; look$"
    ):
        bisect_crashes([np.arange(4), np.arange(4, 200)], attempts, halve, "a batch; look")
    assert len(attempts.seen) == MAX_CRASHES + 1

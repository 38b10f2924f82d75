"""Rows that kill whoever encodes them: found by having halves of their fragment encoded by processes apart."""

from collections.abc import Callable

import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.ray_actors import get_result
from pipeline.replica.recovery import UnisolatedError

MAX_DEATHS = 32
REASON = "the process that tokenized this row died of it, each time; take it out of the input"


def deadly_rows(num_rows: int, survives: Callable[[int, int], bool]) -> list[int]:
    """The rows that a process does not survive. Pure but for `survives`, which tells it of rows [begin, end).

    Raises UnisolatedError after `MAX_DEATHS` deaths.
    """
    num_deaths = 0

    def search(begin: int, end: int) -> list[int]:
        nonlocal num_deaths
        if survives(begin, end):
            return []
        num_deaths += 1
        if num_deaths > MAX_DEATHS:
            raise UnisolatedError(
                f"processes died {num_deaths} times at parts of a fragment of {num_rows} rows; see the memory of "
                "the nodes, or take the rows out of the input"
            )
        if end - begin == 1:
            # Alone, it may have died by chance.
            return [] if survives(begin, end) else [begin]
        middle = (begin + end) // 2
        return [*search(begin, middle), *search(middle, end)]

    return search(0, num_rows)


def deadly_rows_of(table: pa.Table, encode: Callable[[pa.Table], pa.Table]) -> dict[int, str]:
    """By row of a block, why it is not to be encoded. Each try is a task of its own, without a CPU of its own."""

    def survives(begin: int, end: int) -> bool:
        try:
            get_result(_try.options(num_cpus=0, max_retries=0).remote(encode, table.slice(begin, end - begin)))
        except RayTaskError:
            # An error is no death; it comes again, where it can be told.
            return True
        except RayError:
            return False
        return True

    return dict.fromkeys(deadly_rows(table.num_rows, survives), REASON)


@ray.remote
def _try(encode: Callable[[pa.Table], pa.Table], rows: pa.Table) -> None:
    encode(rows)

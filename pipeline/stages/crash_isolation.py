"""Find rows that crash the tokenizer, by bisecting their fragment in separate processes."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError, RayTaskError

from pipeline.ray_actors import get_result
from pipeline.replica.crash_search import CrashError, bisect_crashes
from pipeline.row_errors import TOKENIZER_DIED
from pipeline.storage.printable import number_of

REASON = f"{TOKENIZER_DIED}, each time; take it out of the input"


def crashing_rows(num_rows: int, survives: Callable[[int, int], bool]) -> list[int]:
    """The rows that crash a process; `survives` tells whether it survives rows [begin, end).

    Raises UnisolatedError if the crashes are not due to a few rows.
    """

    def attempt(rows: NDArray[np.int64]) -> None:
        if not survives(int(rows[0]), int(rows[-1]) + 1):
            raise CrashError("the process died")

    def halve(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return np.split(rows, [len(rows) // 2])

    fragment = f"a fragment of {number_of(num_rows, 'row')}"
    where = f"{fragment}; see the memory of the nodes, or take the rows out of the input"
    found = bisect_crashes([np.arange(num_rows)], attempt, halve, where)
    return [int(rows[0]) for rows, result in found if isinstance(result, CrashError)]


def find_crashing_rows(table: pa.Table, encode: Callable[[pa.Table], pa.Table]) -> dict[int, str]:
    """By row that crashes the tokenizer, the reason not to encode it. Each attempt is a Ray task without CPUs."""

    def survives(begin: int, end: int) -> bool:
        try:
            get_result(_try.options(num_cpus=0, max_retries=0).remote(encode, table.slice(begin, end - begin)))
        except RayTaskError:
            # An exception is not a crash, and will be raised again where it is reported.
            return True
        except RayError:
            return False
        return True

    return dict.fromkeys(crashing_rows(table.num_rows, survives), REASON)


@ray.remote
def _try(encode: Callable[[pa.Table], pa.Table], rows: pa.Table) -> None:
    encode(rows)

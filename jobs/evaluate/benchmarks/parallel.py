"""Check that the examples of a parallel benchmark are translations of each other, row by row."""

from collections.abc import Mapping

import pyarrow as pa

from jobs.evaluate.data.files import FIELD
from pipeline.errors import InputError

_ID = "id"


def require_parallel(benchmark: str, tables: Mapping[str, pa.Table]) -> None:
    """Raise InputError unless all subsets have as many rows, with equal ids where the benchmark has ids."""
    (first, expected), *others = tables.items()
    for subset, table in others:
        problem = None
        if table.num_rows != expected.num_rows:
            problem = f"found {table.num_rows:,} rows, expected {expected.num_rows:,}"
        elif _ID in table.column_names and not table[_ID].equals(expected[_ID]):
            problem = "found other ids, or in another order, expected those"
        if problem is not None:
            raise InputError(
                f"{FIELD}: {benchmark} {subset}: {problem} as in {first}, since the rows of {benchmark} are "
                "translations of each other; fetch the files of this split again"
            )

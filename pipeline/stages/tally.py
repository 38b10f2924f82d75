"""Count the errors, results, labels and windows of a part while its rows are in memory."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import ERROR, NUM_WINDOWS
from pipeline.heads.resolve import Head
from pipeline.monitoring.tallies import Tally
from pipeline.row_errors import count_kinds


def tally_rows(rows: pa.Table, heads: Sequence[Head]) -> Tally:
    """The tally of output rows."""
    labels = {head.name: head.task.labels(head.options, rows[head.name].combine_chunks()) for head in heads}
    return Tally(
        num_windows=pc.sum(rows[NUM_WINDOWS], min_count=0).as_py(),
        errors=count_kinds(_counts(rows[ERROR])),
        labels={name: dict(_counts(found)) for name, found in labels.items() if found is not None},
        results={head.name: rows.num_rows - rows[head.name].null_count for head in heads},
    )


def _counts(values: pa.Array | pa.ChunkedArray) -> Iterable[tuple[str, int]]:
    """Each different value that is not null, and how often it is there."""
    for found in pc.value_counts(values.drop_null()).to_pylist():
        yield found["values"], found["counts"]

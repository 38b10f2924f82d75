"""Blocks of the Ray dataset: the rows of one whole fragment with their keys, or one row with its failure.

The key of a row is (fragment as JSON, row index). Keys are added when a fragment is read, and checked when it is
written.
"""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import FAILURE, FRAGMENT, ROW
from pipeline.errors import OutputError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment

KEY_FIELDS = (pa.field(FRAGMENT, pa.dictionary(pa.int32(), pa.string())), pa.field(ROW, pa.int32()))


def with_keys(table: pa.Table, fragment: Fragment) -> pa.Table:
    """The rows of a fragment with their keys: columns `__fragment` and `__row` at the end."""
    indices = pa.array(np.zeros(table.num_rows, dtype=np.int32))
    keys = (
        pa.DictionaryArray.from_arrays(indices, pa.array([fragment.to_json()])),
        pa.array(np.arange(table.num_rows, dtype=np.int32)),
    )
    for field, key in zip(KEY_FIELDS, keys, strict=True):
        table = table.append_column(field, key)
    return table


def whole_fragment(table: pa.Table) -> Fragment:
    """The fragment of a block. Raises OutputError unless the block has exactly its rows, in order."""
    fragments = pc.unique(table[FRAGMENT]).to_pylist()
    if len(fragments) != 1 or fragments[0] is None:
        raise OutputError(
            f"a block holds rows of {len(fragments)} fragments, expected one; blocks must pass "
            "from source to sink as they are (map_batches with batch_size=None)"
        )
    fragment = Fragment.from_json(fragments[0])
    rows = table[ROW].to_numpy()
    if not np.array_equal(rows, np.arange(fragment.num_rows)):
        raise OutputError(
            f"{fragment.part_path}: a block holds {table.num_rows} rows that are not rows 0 to "
            f"{fragment.num_rows - 1} of the fragment in order; blocks must pass from source to "
            "sink as they are (map_batches with batch_size=None, rows in place)"
        )
    return fragment


def failure_block(failure: FragmentFailure, fragment: Fragment) -> pa.Table:
    """A block for a failed fragment, with one row that is not a row of the input."""
    return pa.table({FRAGMENT: [fragment.to_json()], FAILURE: [json.dumps(asdict(failure))]})


def failure_in(table: pa.Table) -> FragmentFailure | None:
    """The failure in a block, or None for a block of rows."""
    if FAILURE not in table.column_names:
        return None
    return FragmentFailure(**json.loads(table[FAILURE][0].as_py()))

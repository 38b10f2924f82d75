"""Keys of rows, (fragment, row index): put on where a fragment is read, proved where it is written.

The key of the fragment is the fragment itself, as JSON, held once a block as a dictionary of one
value: wherever a block goes, it says which rows of which file it is.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import FRAGMENT, ROW
from pipeline.errors import OutputError
from pipeline.fragments import Fragment

KEY_FIELDS = (
    pa.field(FRAGMENT, pa.dictionary(pa.int32(), pa.string())),
    pa.field(ROW, pa.int32()),
)


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
    """The fragment that a block is, all its rows and no others, in order.

    Raises OutputError where the block is anything else.
    """
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

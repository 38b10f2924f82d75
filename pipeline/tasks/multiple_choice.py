"""Multiple choice: one score a choice -> which choice, and how sure."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.segments import list_column, segment_argmax, segment_softmax


def choices_column(logits: NDArray[np.float32], row_offsets: NDArray[np.int64]) -> pa.StructArray:
    """`struct<choice: int32, scores: list<float>, logits: list<float>>`, one value a row.

    `choice` counts from 0; of equally good choices it is the first. `scores` are the softmax over
    the row's choices, in their order. A row without choices is null.

    Args:
        logits: float32 `[n]`, one a choice, the choices of each row in order.
        row_offsets: int64 `[rows + 1]`, where each row's choices are; rows may differ in number.
    """
    is_present = np.diff(row_offsets) > 0
    choice = np.zeros(len(is_present), dtype=np.int32)
    choice[is_present] = segment_argmax(logits, row_offsets) - row_offsets[:-1][is_present]
    scores = segment_softmax(logits, row_offsets).astype(np.float32)
    return pa.StructArray.from_arrays(
        [
            pa.array(choice),
            list_column(pa.array(scores), row_offsets),
            list_column(pa.array(logits), row_offsets),
        ],
        ["choice", "scores", "logits"],
        mask=pa.array(~is_present),
    )

"""What ranks computed -> columns of the output, one value a row. Pure functions."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.head_config import EmbeddingHead, MaskedLMLossHead, TextClassificationHead
from pipeline.heads import Head


def decode_head(head: Head, values: NDArray[np.float32], rows: NDArray[np.int32], num_rows: int) -> pa.Array:
    """A head's column.

    Args:
        values: fp32 `[n, …]`, what the ranks returned, in any order.
        rows: int32 `[n]`, the row that each value belongs to; a masked row has one value for each labelled token.
        num_rows: rows of the fragment; those without a value get null.
    """
    match head.options:
        case TextClassificationHead():
            column = classification_column(values, head.labels, head.problem_type)
        case EmbeddingHead():
            column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), head.config.hidden_size)
        case MaskedLMLossHead():
            column, rows = loss_column(values, rows)
    return place_rows(column.cast(head.output_type), rows, num_rows)


def classification_column(logits: NDArray[np.float32], labels: Sequence[str], problem_type: str) -> pa.StructArray:
    """Labels and scores of `[n, num_labels]` logits: softmax, sigmoid for several labels, or the bare value."""
    if problem_type == "regression":
        return pa.StructArray.from_arrays([pa.array(logits[:, 0])], ["value"])
    logit_lists = _lists(logits)
    if problem_type == "single_label_classification":
        best = logits.argmax(axis=1) if len(logits) else np.zeros(0, dtype=np.int64)
        probabilities = torch.from_numpy(logits).double().softmax(dim=1).numpy()
        scores = probabilities[np.arange(len(best)), best]
        names = pa.array(labels, pa.string()).take(pa.array(best))
        return pa.StructArray.from_arrays(
            [names, pa.array(scores.astype(np.float32)), logit_lists], ["label", "score", "logits"]
        )
    scores = torch.from_numpy(logits).double().sigmoid().float().numpy()
    # A label holds where its probability is at least one half; `scores` are of all labels, by class id.
    holds = scores >= 0.5
    offsets = np.concatenate([[0], np.cumsum(holds.sum(axis=1))]).astype(np.int32)
    names = pa.array(labels, pa.string()).take(pa.array(np.nonzero(holds)[1]))
    return pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(pa.array(offsets), names), _lists(scores), logit_lists],
        ["labels", "scores", "logits"],
    )


def loss_column(nll: NDArray[np.float32], rows: NDArray[np.int32]) -> tuple[pa.StructArray, NDArray[np.int32]]:
    """Sums of each row's tokens, in nats; and the rows that have any."""
    num_rows = int(rows.max()) + 1 if len(rows) else 0
    num_tokens = np.bincount(rows, minlength=num_rows)
    total = np.bincount(rows, weights=nll.astype(np.float64), minlength=num_rows)
    present = np.flatnonzero(num_tokens).astype(np.int32)
    total, num_tokens = total[present], num_tokens[present]
    columns = [pa.array(total / num_tokens), pa.array(total), pa.array(num_tokens.astype(np.int32))]
    return pa.StructArray.from_arrays(columns, ["loss", "nll", "num_tokens"]), present


def place_rows(column: pa.Array, rows: NDArray[np.int32], num_rows: int) -> pa.Array:
    """Value i to row `rows[i]`, null elsewhere."""
    index = np.zeros(num_rows, dtype=np.int64)
    is_null = np.ones(num_rows, dtype=bool)
    index[rows] = np.arange(len(rows))
    is_null[rows] = False
    return column.take(pa.array(index, mask=is_null))


def _lists(values: NDArray[np.float32]) -> pa.ListArray:
    """`[n, k]` to n lists of k."""
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))

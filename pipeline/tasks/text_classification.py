"""Text classification: logits -> labels and scores."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.columns import ProblemType
from pipeline.segments import list_column, softmax


def classification_column(
    logits: NDArray[np.float32], labels: Sequence[str], problem_type: ProblemType
) -> pa.StructArray:
    """Labels and scores of `[n, num_labels]` logits: softmax, sigmoid for several labels, or the bare value.

    With several labels, `labels` are those whose probability is at least one half, and `scores` are of all of
    them, by class id.
    """
    if problem_type == "regression":
        return pa.StructArray.from_arrays([pa.array(np.ascontiguousarray(logits[:, 0]))], ["value"])
    all_labels = pa.array(labels, pa.string())
    if problem_type == "single_label_classification":
        best = logits.argmax(axis=1)
        scores = softmax(logits)[np.arange(len(best)), best].astype(np.float32)
        return pa.StructArray.from_arrays(
            [all_labels.take(pa.array(best)), pa.array(scores), _lists(logits)], ["label", "score", "logits"]
        )
    scores = torch.from_numpy(logits).double().sigmoid().float().numpy()
    holds = scores >= 0.5
    offsets = np.concatenate([[0], np.cumsum(holds.sum(axis=1))])
    names = all_labels.take(pa.array(np.nonzero(holds)[1]))
    return pa.StructArray.from_arrays(
        [list_column(names, offsets), _lists(scores), _lists(logits)], ["labels", "scores", "logits"]
    )


def _lists(values: NDArray[np.float32]) -> pa.ListArray:
    """`[n, k]` to n lists of k."""
    num_rows, width = values.shape
    return list_column(pa.array(values.ravel()), np.arange(num_rows + 1) * width)

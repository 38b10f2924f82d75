"""Language models: losses, guesses for masks, generated text -> columns."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model import XLMRobertaXLTokenizer
from pipeline.segments import list_column


def loss_column(nll: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[pa.StructArray, NDArray[np.int64]]:
    """`struct<loss: double, nll: double, num_tokens: int32>` in nats, and the rows that have any token.

    Args:
        nll: fp32 `[n]`, one a token; `rows` int64 `[n]`, whose it is. Sums are made in this order, in fp64.
    """
    num_tokens = np.bincount(rows)
    total = np.bincount(rows, weights=nll.astype(np.float64))
    present = np.flatnonzero(num_tokens)
    total, num_tokens = total[present], num_tokens[present]
    columns = [pa.array(total / num_tokens), pa.array(total), pa.array(num_tokens.astype(np.int32))]
    return pa.StructArray.from_arrays(columns, ["loss", "nll", "num_tokens"]), present


def fill_mask_column(
    token_ids: NDArray[np.generic],
    log_probabilities: NDArray[np.generic],
    row_offsets: NDArray[np.int64],
    tokenizer: XLMRobertaXLTokenizer,
) -> pa.ListArray:
    """`list<list<struct<token: string, token_id: int32, score: float>>>`: for each mask of a row, its guesses.

    Args:
        token_ids, log_probabilities: `[n, k]`, the masks of all rows in order, the likeliest guess first.
        row_offsets: int64 `[rows + 1]`.
    """
    num_masks, k = token_ids.shape
    ids = token_ids.ravel().astype(np.int32)
    # The word as it reads, as Transformers' pipeline decodes it: without the mark of a beginning word.
    distinct, inverse = np.unique(ids, return_inverse=True)
    words = pa.array([tokenizer.decode([int(i)]) for i in distinct], pa.string())
    scores = np.exp(np.asarray(log_probabilities, dtype=np.float64)).ravel().astype(np.float32)
    guesses = pa.StructArray.from_arrays(
        [words.take(pa.array(inverse)), pa.array(ids), pa.array(scores)], ["token", "token_id", "score"]
    )
    return list_column(list_column(guesses, np.arange(num_masks + 1) * k), row_offsets)


def generation_column(
    token_ids: NDArray[np.generic], num_tokens: NDArray[np.generic], tokenizer: XLMRobertaXLTokenizer
) -> pa.StructArray:
    """`struct<text: string, num_tokens: int32>`: what was generated, without the prompt and the end token.

    Args:
        token_ids: `[n, max_new_tokens]`; the first `num_tokens[i]` of row i count.
    """
    rows = [ids[:count].tolist() for ids, count in zip(token_ids, num_tokens.tolist(), strict=True)]
    texts = pa.array([tokenizer.decode(ids, skip_special_tokens=True) for ids in rows], pa.string())
    return pa.StructArray.from_arrays([texts, pa.array(num_tokens.astype(np.int32))], ["text", "num_tokens"])

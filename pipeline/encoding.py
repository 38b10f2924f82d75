"""Rows -> token ids. One list column for each source of text, null where a row's text cannot be read."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.tokenizer import XLMRobertaXLTokenizer
from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, sequence_column, text_values
from pipeline.heads import Source


def encode_fragment(
    table: pa.Table,
    sources: Sequence[Source],
    tokenizer: XLMRobertaXLTokenizer,
    *,
    max_num_tokens: int,
    kept_columns: Sequence[str],
) -> pa.Table:
    """Add token ids to the rows of a fragment, and take away text that is not carried.

    Args:
        max_num_tokens: a longer row is cut; `num_tokens` tells its length before that.
        kept_columns: columns of `table` to keep.

    Returns:
        `kept_columns`, num_tokens, num_windows, error, and `sequence_column(i)` list<int32> for source i.
    """
    num_rows = table.num_rows
    num_tokens = np.zeros(num_rows, dtype=np.int32)
    num_windows = np.zeros(num_rows, dtype=np.int32)
    problems: list[list[str]] = [[] for _ in range(num_rows)]
    encoded = {}
    for i, source in enumerate(sources):
        ids, full_lengths = _encode_source(table, source, tokenizer, max_num_tokens, problems)
        encoded[sequence_column(i)] = ids
        num_tokens += full_lengths
        num_windows += full_lengths > 0
    errors = ["; ".join(dict.fromkeys(p)) or None for p in problems]
    columns = {name: table.column(name) for name in kept_columns}
    columns[NUM_TOKENS] = pa.array(num_tokens)
    columns[NUM_WINDOWS] = pa.array(num_windows)
    columns[ERROR] = pa.array(errors, pa.string())
    return pa.table({**columns, **encoded})


def _encode_source(
    table: pa.Table,
    source: Source,
    tokenizer: XLMRobertaXLTokenizer,
    max_num_tokens: int,
    problems: list[list[str]],
) -> tuple[pa.ListArray, NDArray[np.int32]]:
    """Token ids of each row, null where a text is missing; lengths before truncation, 0 for null."""
    texts = _usable_texts(table, source.text, problems)
    columns = [texts]
    if source.text_pair is not None:
        columns.append(_usable_texts(table, source.text_pair, problems))
    usable = [row for row, values in enumerate(zip(*columns, strict=True)) if None not in values]
    inputs = [[values[row] or "" for row in usable] for values in columns]
    ragged = tokenizer.encode_batch(*inputs, max_length=max_num_tokens)
    full_lengths = np.zeros(table.num_rows, dtype=np.int32)
    full_lengths[usable] = ragged.num_tokens_full
    lengths = np.zeros(table.num_rows, dtype=np.int32)
    lengths[usable] = np.diff(ragged.row_offsets)
    offsets = np.zeros(table.num_rows + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    is_null = np.ones(table.num_rows, dtype=bool)
    is_null[usable] = False
    ids = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(ragged.input_ids, pa.int32()), mask=pa.array(is_null)
    )
    return ids, full_lengths


def _usable_texts(table: pa.Table, column: str, problems: list[list[str]]) -> list[str | None]:
    """The texts of a column; None, with a problem noted, where there is nothing to read."""
    texts: list[str | None] = []
    for row, value in enumerate(text_values(table.column(column))):
        problem = None
        if value is None:
            problem = "is null"
        elif isinstance(value, UnicodeDecodeError):
            problem = f"is not UTF-8 (byte {value.start})"
        elif not value.strip():
            problem = "is empty" if not value else "is blank"
        if problem is not None:
            problems[row].append(f"column {column!r} {problem}, expected text")
        texts.append(None if problem is not None or not isinstance(value, str) else value)
    return texts


@cache
def load_tokenizer(directory: str) -> XLMRobertaXLTokenizer:
    """The tokenizer of a model directory; once a process, as reading it takes longer than a fragment."""
    return XLMRobertaXLTokenizer.from_pretrained(directory)

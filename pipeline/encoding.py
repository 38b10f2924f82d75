"""Rows -> token ids. One list column for each source of text, null where a row's text cannot be read."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.tokenizer import XLMRobertaXLTokenizer
from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, sequence_column, text_values
from pipeline.heads import Head, Source, sources_of
from pipeline.routing import route_rows


def encode_fragment(
    table: pa.Table,
    heads: Sequence[Head],
    tokenizer: XLMRobertaXLTokenizer,
    *,
    route: str | None,
    max_num_tokens: int,
    kept_columns: Sequence[str],
) -> pa.Table:
    """Add token ids to the rows of a fragment, and take away text that is not carried.

    A row is read, and judged, only as far as the heads that it asks for need it.

    Args:
        route: name of the route column.
        max_num_tokens: a longer row is cut; `num_tokens` tells its length before that.
        kept_columns: columns of `table` to keep.

    Returns:
        `kept_columns`, num_tokens, num_windows, error, and `sequence_column(i)` list<int32> for source i.
    """
    num_rows = table.num_rows
    num_tokens = np.zeros(num_rows, dtype=np.int32)
    num_windows = np.zeros(num_rows, dtype=np.int32)
    routes = route_rows(table.column(route) if route else None, [head.name for head in heads], num_rows)
    problems = [[routes.errors[row]] if row in routes.errors else [] for row in range(num_rows)]
    encoded = {}
    for i, source in enumerate(sources_of(heads)):
        readers = [head.source == source for head in heads]
        is_wanted = np.asarray(routes.wanted[:, readers].any(axis=1))
        ids, full_lengths = _encode_source(table, source, is_wanted, tokenizer, max_num_tokens, problems)
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
    is_wanted: NDArray[np.bool_],
    tokenizer: XLMRobertaXLTokenizer,
    max_num_tokens: int,
    problems: list[list[str]],
) -> tuple[pa.ListArray, NDArray[np.int32]]:
    """Token ids of each row, null where there is no text to read; lengths before truncation, 0 for null."""
    names = [source.text] if source.text_pair is None else [source.text, source.text_pair]
    columns = [_usable_texts(table, name, is_wanted, problems) for name in names]
    usable = [row for row, values in enumerate(zip(*columns, strict=True)) if None not in values]
    inputs = [[values[row] or "" for row in usable] for values in columns]
    ragged = tokenizer.encode_batch(*inputs, max_length=max_num_tokens)
    num_special = tokenizer.num_special_tokens_to_add(pair=len(names) > 1)
    full_lengths, lengths = (np.zeros(table.num_rows, dtype=np.int32) for _ in range(2))
    full_lengths[usable] = ragged.num_tokens_full
    lengths[usable] = ragged.lengths
    has_text = full_lengths > num_special
    for row in np.flatnonzero((full_lengths > 0) & ~has_text):
        named = " and ".join(map(repr, names))
        problems[row].append(f"column {named} has nothing but invisible characters, expected text")
    offsets = np.zeros(table.num_rows + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    ids = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ragged.input_ids), mask=pa.array(~has_text))
    return ids, np.where(has_text, full_lengths, 0)


def _usable_texts(
    table: pa.Table, column: str, is_wanted: NDArray[np.bool_], problems: list[list[str]]
) -> list[str | None]:
    """The texts of a column; None where it is not wanted or, with a problem noted, where it cannot be read."""
    texts: list[str | None] = []
    for row, value in enumerate(text_values(table.column(column))):
        problem = None
        if value is None:
            problem = "is null"
        elif isinstance(value, UnicodeDecodeError):
            problem = f"is not UTF-8 (byte {value.start})"
        elif not value.strip():
            problem = "is empty" if not value else "is blank"
        if problem is not None and is_wanted[row]:
            problems[row].append(f"column {column!r} {problem}, expected text")
        is_usable = problem is None and is_wanted[row]
        texts.append(value if is_usable and isinstance(value, str) else None)
    return texts


@cache
def load_tokenizer(directory: str) -> XLMRobertaXLTokenizer:
    """The tokenizer of a model directory; once a process, as reading it takes longer than a fragment."""
    return XLMRobertaXLTokenizer.from_pretrained(directory)

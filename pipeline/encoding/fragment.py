"""Encode the rows of a fragment: add a column of token id windows for each sequence spec."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.tokenizer.special_tokens import BOS_ID, EOS_ID, MASK_TOKEN
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from model.tokenizer.truncation import longest_first
from pipeline.arrays.ragged import Ragged, concat_rows, cut, list_column, offsets_of
from pipeline.arrays.windows import WINDOW_TYPE, Windows, cut_windows
from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, WANTED, context_column, sequence_column
from pipeline.encoding.encoded import Encoded
from pipeline.encoding.items import Items, decoding_context, read_items
from pipeline.encoding.routes import route_rows
from pipeline.encoding.row_texts import FragmentTexts
from pipeline.encoding.tokenizing import Tokens, tokenize_texts, tokenize_words
from pipeline.encoding.translations import encode_translations
from pipeline.heads.resolve import Head, sequence_specs
from pipeline.row_errors import INVISIBLE, NO_MASK
from pipeline.tasks.contract import SequenceSpec


@dataclass(frozen=True)
class _Frame:
    """The tokens before and after the body of each item."""

    prefix: Ragged
    suffix: Ragged


def encode_fragment(
    table: pa.Table,
    heads: Sequence[Head],
    tokenizer: XLMRobertaXLTokenizer,
    *,
    route: str | None,
    kept_columns: Sequence[str],
    refused: Mapping[int, str] = MappingProxyType({}),
) -> pa.Table:
    """Add sequences to the rows of a fragment, and drop columns that are not needed any more.

    A row is read and checked only as far as the heads that it asks for need it. `refused`: rows that are not read
    at all, with the reason.

    Returns:
        `kept_columns`, num_tokens, num_windows, error, and for the annotator: the heads that each row wants, and
        for spec i `sequence_column(i)`, list<WINDOW_TYPE>, and `context_column(i)`.
    """
    routes = route_rows(table, route, [head.name for head in heads])
    problems = [routes.errors, refused]
    routes.wanted[list(refused)] = False
    num_tokens, num_windows = np.zeros((2, table.num_rows), dtype=np.int32)
    flags = pa.array(routes.wanted.ravel())
    columns: dict[str, pa.Array] = {WANTED: pa.FixedSizeListArray.from_arrays(flags, len(heads))}
    texts = FragmentTexts(table)
    for i, spec in enumerate(sequence_specs(heads)):
        readers = [h for h, head in enumerate(heads) if head.sequence_spec == spec]
        with_offsets = any(heads[h].task.needs_offsets for h in readers)
        is_wanted = np.asarray(routes.wanted[:, readers].any(axis=1))
        if spec.layout == "translation":
            encoded = encode_translations(texts, spec, is_wanted, tokenizer)
        else:
            items = read_items(texts, spec, is_wanted)
            encoded = encode_items(items, spec, tokenizer, table.num_rows, with_offsets=with_offsets)
        columns[sequence_column(i)] = encoded.windows
        columns[context_column(i)] = decoding_context(texts, spec, with_offsets)
        num_tokens += encoded.num_tokens
        num_windows += encoded.num_windows
        problems.append(encoded.problems)
    kept = {name: table.column(name) for name in kept_columns}
    counts = {NUM_TOKENS: pa.array(num_tokens), NUM_WINDOWS: pa.array(num_windows)}
    return pa.table({**kept, **counts, ERROR: _error_column(problems, table.num_rows), **columns})


def _error_column(problems: Sequence[Mapping[int, str]], num_rows: int) -> pa.Array:
    """The distinct problems of each row as one message, or null."""
    by_row: dict[int, dict[str, None]] = defaultdict(dict)
    for some in problems:
        for row, problem in some.items():
            by_row[row][problem] = None
    return pa.array(["; ".join(by_row[row]) if row in by_row else None for row in range(num_rows)], pa.string())


def encode_items(
    items: Items,
    spec: SequenceSpec,
    tokenizer: XLMRobertaXLTokenizer,
    num_rows: int,
    *,
    with_offsets: bool = False,
) -> Encoded:
    """Tokenize the items, add special tokens and companions, and cut them into windows."""
    if spec.layout == "words":
        body = tokenize_words(items.words, tokenizer)
    else:
        parsed_tokens = (MASK_TOKEN,) if spec.parses_mask else ()
        body = tokenize_texts(items.texts, tokenizer, with_offsets=with_offsets, parsed_tokens=parsed_tokens)
    companion = None
    if spec.layout in ("pair", "question", "choices", "hypotheses"):
        companion = tokenize_texts(items.companions, tokenizer, with_offsets=False).ids
    row = np.asarray(items.row, dtype=np.int64)
    problems = items.problems | _token_problems(body, companion, items, spec, tokenizer.mask_token_id)
    is_read = ~np.isin(row, np.fromiter(problems, np.int64, len(problems)))
    full = _frame(spec, companion, len(row))
    full_lengths = full.prefix.lengths + body.ids.lengths + full.suffix.lengths
    num_tokens = np.bincount(row, weights=full_lengths * is_read, minlength=num_rows)
    body, companion = _fit(body, companion, spec)
    frame = _frame(spec, companion, len(row))
    capacity = spec.window - frame.prefix.lengths - frame.suffix.lengths
    windows = cut_windows(body.ids.lengths, capacity, spec.stride)
    windows = windows.select(is_read[windows.text])
    counts = np.bincount(row[windows.text], minlength=num_rows)
    sequences = _sequences(body, frame, windows, np.asarray(items.number, dtype=np.int32))
    column = list_column(sequences, offsets_of(counts))
    return Encoded(column, num_tokens.astype(np.int32), counts.astype(np.int32), problems)


def _token_problems(
    body: Tokens, companion: Ragged | None, items: Items, spec: SequenceSpec, mask_id: int
) -> dict[int, str]:
    """By row, problems of a text that only show in its tokens."""
    name = repr(spec.columns[0])
    problems = {}
    if companion is not None:
        for i in np.flatnonzero(companion.lengths == 0).tolist():
            problems[items.row[i]] = f"{spec.companion_name(items.number[i])} {INVISIBLE}, expected text"
    for i in np.flatnonzero(body.ids.lengths == 0).tolist():
        problems[items.row[i]] = f"column {name} {INVISIBLE}, expected text"
    if spec.parses_mask:
        is_mask = np.concatenate([[0], np.cumsum(body.ids.values == mask_id)])
        has_mask = is_mask[body.ids.offsets[1:]] > is_mask[body.ids.offsets[:-1]]
        for i in np.flatnonzero(~has_mask & (body.ids.lengths > 0)).tolist():
            problems[items.row[i]] = f"column {name} {NO_MASK}, expected one or more"
    return problems


def _frame(spec: SequenceSpec, companion: Ragged | None, num_items: int) -> _Frame:
    """`<s> body </s>`, `<s> body </s></s> companion </s>`, or `<s> question </s></s> body </s>`."""
    begin, end, between = (Ragged.repeated(tokens, num_items) for tokens in ([BOS_ID], [EOS_ID], [EOS_ID, EOS_ID]))
    if spec.layout == "prompt":
        return _Frame(begin, Ragged.repeated([], num_items))
    if companion is None:
        return _Frame(begin, end)
    if spec.layout == "question":
        return _Frame(concat_rows(begin, companion, between), end)
    return _Frame(begin, concat_rows(between, companion, end))


def _fit(body: Tokens, companion: Ragged | None, spec: SequenceSpec) -> tuple[Tokens, Ragged | None]:
    """Truncate texts and companions as far as needed before they are cut into windows.

    A pair that fits stays whole. With `truncate`, other pairs are cut longest first. Otherwise the companion keeps
    the room (the window without special tokens) that the body leaves, or half of it if that is more, so that the
    body has at least half of each window.
    """
    zeros = np.zeros(len(body.ids), dtype=np.int64)
    lengths = body.ids.lengths
    if companion is None:
        room = spec.window - (1 if spec.layout == "prompt" else 2)
        kept = np.minimum(lengths, room) if spec.truncate else lengths
        # A prompt keeps its end, from which generation continues.
        first = lengths - kept if spec.layout == "prompt" else zeros
        return _cut_tokens(body, first, first + kept), None
    room = spec.window - 4
    if spec.truncate:
        kept, kept_companion = longest_first(lengths, companion.lengths, room)
    else:
        kept, kept_companion = lengths, np.minimum(companion.lengths, np.maximum(room - lengths, room // 2))
    index = np.arange(len(zeros))
    return _cut_tokens(body, zeros, kept), cut(companion, index, zeros, kept_companion)


def _cut_tokens(tokens: Tokens, begin: NDArray[np.int64], end: NDArray[np.int64]) -> Tokens:
    if (begin == 0).all() and (end == tokens.ids.lengths).all():
        return tokens
    index = np.arange(len(tokens.ids))
    return Tokens(*(cut(part, index, begin, end) for part in (tokens.ids, tokens.begins, tokens.ends)))


def _sequences(body: Tokens, frame: _Frame, windows: Windows, number: NDArray[np.int32]) -> pa.StructArray:
    """The windows as an array of WINDOW_TYPE."""
    text = windows.text
    zeros = np.zeros(len(windows), dtype=np.int64)
    prefix = cut(frame.prefix, text, zeros, frame.prefix.lengths[text])
    suffix = cut(frame.suffix, text, zeros, frame.suffix.lengths[text])
    around = [Ragged(np.zeros_like(part.values), part.offsets) for part in (prefix, suffix)]
    ids = concat_rows(prefix, cut(body.ids, text, windows.begin, windows.end), suffix)
    begins, ends = (
        concat_rows(around[0], cut(part, text, windows.begin, windows.end), around[1])
        for part in (body.begins, body.ends)
    )
    shift = prefix.lengths - windows.begin
    columns: list[NDArray[np.integer]] = [
        number[text],
        windows.begin,
        prefix.lengths,
        windows.end - windows.begin,
        windows.owned_begin + shift,
        windows.owned_end + shift,
    ]
    arrays = [pa.array(column.astype(np.int32)) for column in columns]
    arrays.append(pa.array(windows.end == body.ids.lengths[text]))
    arrays += [list_column(pa.array(part.values), part.offsets) for part in (ids, begins, ends)]
    return pa.StructArray.from_arrays(arrays, fields=list(WINDOW_TYPE))

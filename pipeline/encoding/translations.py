"""Join translations with their sources and references, as COMET does.

`<s> translation </s></s> source </s>`; with a reference also `<s> translation </s></s> reference </s>` and
`<s> translation </s></s> source </s></s> reference </s>`, in this order. Each text is cut to what fits with four
special tokens, and of a sequence that is still too long the first tokens are kept, so that it loses its last
`</s>`. COMET knows no windows: a long text is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.tokenizer.special_tokens import BOS_ID, EOS_ID
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.ragged import Ragged, concat_rows, cut, list_column, offsets_of
from pipeline.arrays.windows import WINDOW_TYPE
from pipeline.encoding.encoded import Encoded
from pipeline.encoding.row_texts import FragmentTexts, Problem
from pipeline.encoding.tokenizing import Tokens, tokenize_texts
from pipeline.row_errors import INVISIBLE
from pipeline.tasks.contract import SequenceSpec

_SPECIAL_TOKENS_OF_PAIR = 4
# The texts that follow the translation in each sequence of a row, by their index among the columns.
_WITHOUT_REFERENCE: tuple[tuple[int, ...], ...] = ((1,),)
_WITH_REFERENCE: tuple[tuple[int, ...], ...] = ((1,), (2,), (1, 2))


@dataclass(frozen=True)
class _Rows:
    """The rows that can be read, int64 `[n]`, and the tokens of their texts by column."""

    row: NDArray[np.int64]
    parts: list[Tokens]
    problems: dict[int, str]


def encode_translations(
    texts: FragmentTexts, spec: SequenceSpec, is_wanted: NDArray[np.bool_], tokenizer: XLMRobertaXLTokenizer
) -> Encoded:
    """The sequences of each wanted row, with the character offsets of the translation's tokens."""
    rows = _read(texts, spec, is_wanted, tokenizer)
    translation, *others = (_cut(part, spec.window - _SPECIAL_TOKENS_OF_PAIR) for part in rows.parts)
    joined = _WITHOUT_REFERENCE if len(spec.columns) == 2 else _WITH_REFERENCE
    sequences = [
        _join(translation, [others[column - 1].ids for column in columns], spec.window) for columns in joined
    ]
    num_sequences = np.zeros(texts.num_rows, dtype=np.int32)
    num_sequences[rows.row] = len(joined)
    column = list_column(_interleaved(translation, sequences), offsets_of(num_sequences.astype(np.int64)))
    return Encoded(column, _num_tokens(rows, joined, texts.num_rows), num_sequences, rows.problems)


def _read(
    texts: FragmentTexts, spec: SequenceSpec, is_wanted: NDArray[np.bool_], tokenizer: XLMRobertaXLTokenizer
) -> _Rows:
    columns = [texts.text(name, allow_blank=spec.allows_blank) for name in spec.columns]
    problems: dict[int, str] = {}
    good: list[int] = []
    for row in np.flatnonzero(is_wanted).tolist():
        wrong = [str(column[row]) for column in columns if isinstance(column[row], Problem)]
        if wrong:
            problems[row] = "; ".join(dict.fromkeys(wrong))
        else:
            good.append(row)
    parts = [
        tokenize_texts([str(column[row]) for row in good], tokenizer, with_offsets=i == 0)
        for i, column in enumerate(columns)
    ]
    found = _Rows(np.array(good, dtype=np.int64), parts, problems)
    return found if spec.allows_blank else _without_invisible(found, spec)


def _without_invisible(rows: _Rows, spec: SequenceSpec) -> _Rows:
    """Leave out the rows with a text that has no tokens."""
    problems = dict(rows.problems)
    has_tokens = np.ones(len(rows.row), dtype=bool)
    for name, part in zip(reversed(spec.columns), reversed(rows.parts), strict=True):
        is_empty = part.ids.lengths == 0
        has_tokens &= ~is_empty
        for row in rows.row[is_empty].tolist():
            problems[row] = f"column {name!r} {INVISIBLE}, expected text"
    if has_tokens.all():
        return rows
    return _Rows(rows.row[has_tokens], [_select(part, has_tokens) for part in rows.parts], problems)


def _select(tokens: Tokens, keep: NDArray[np.bool_]) -> Tokens:
    index = np.flatnonzero(keep)
    zeros, lengths = np.zeros_like(index), tokens.ids.lengths[index]
    return Tokens(*(cut(part, index, zeros, lengths) for part in (tokens.ids, tokens.begins, tokens.ends)))


def _cut(tokens: Tokens, most: int) -> Tokens:
    """The first tokens of each text."""
    index = np.arange(len(tokens.ids))
    kept = np.minimum(tokens.ids.lengths, most)
    return Tokens(
        *(cut(part, index, np.zeros_like(index), kept) for part in (tokens.ids, tokens.begins, tokens.ends))
    )


def _join(translation: Tokens, others: Sequence[Ragged], window: int) -> Ragged:
    """The ids of one sequence for each row."""
    num_rows = len(translation.ids)
    begin, end, between = (Ragged.repeated(tokens, num_rows) for tokens in ([BOS_ID], [EOS_ID], [EOS_ID, EOS_ID]))
    whole = concat_rows(begin, translation.ids, *(part for other in others for part in (between, other)), end)
    index = np.arange(num_rows)
    return cut(whole, index, np.zeros_like(index), np.minimum(whole.lengths, window))


def _interleaved(translation: Tokens, sequences: Sequence[Ragged]) -> pa.StructArray:
    """All sequences of a row one after the other, as an array of WINDOW_TYPE."""
    num_rows, num_items = len(translation.ids), len(sequences)
    row = np.repeat(np.arange(num_rows), num_items)
    item = np.tile(np.arange(num_items), num_rows)
    ids = _rows_at(_stacked(sequences), item * num_rows + row)
    size = translation.ids.lengths[row]
    zeros, ones = np.zeros_like(row), np.ones_like(row)
    numbers: list[NDArray[np.integer]] = [item, zeros, ones, size, ones, 1 + size]
    arrays = [pa.array(number.astype(np.int32)) for number in numbers]
    arrays.append(pa.array(np.ones(len(row), dtype=bool)))
    before = Ragged.repeated([0], len(row))
    num_after = ids.lengths - 1 - size
    after = Ragged(np.zeros(int(num_after.sum()), dtype=np.int32), offsets_of(num_after))
    begins, ends = (
        concat_rows(before, _rows_at(part, row), after) for part in (translation.begins, translation.ends)
    )
    arrays += [list_column(pa.array(part.values), part.offsets) for part in (ids, begins, ends)]
    return pa.StructArray.from_arrays(arrays, fields=list(WINDOW_TYPE))


def _stacked(parts: Sequence[Ragged]) -> Ragged:
    """The rows of all parts, part after part."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))


def _rows_at(rows: Ragged, index: NDArray[np.int64]) -> Ragged:
    return cut(rows, index, np.zeros_like(index), rows.lengths[index])


def _num_tokens(rows: _Rows, joined: Sequence[Sequence[int]], num_rows: int) -> NDArray[np.int32]:
    """The tokens of a row's sequences as they would be if nothing was cut."""
    lengths = [part.ids.lengths for part in rows.parts]
    counts = np.zeros(num_rows, dtype=np.int32)
    for columns in joined:
        # Each text has a special token on both sides.
        total = lengths[0] + sum(lengths[column] for column in columns) + 2 * (1 + len(columns))
        counts[rows.row] += total.astype(np.int32)
    return counts

"""Tokenize texts of any length, or texts that are split into words, without special tokens."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.tokenizer.special_tokens import MASK_TOKEN
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.ragged import Ragged, offsets_of, ranges

# The most characters tokenized at once: sentencepiece's lattice takes some hundred bytes a character.
MAX_PIECE_CHARS = 100_000
# White space in Python, but dropped by the tokenizer: a cut here would split a word.
_DROPPED = frozenset("\x0b\x1c\x1d\x1e\x1f\x85")


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, with their half-open character offsets, or numbers of words for split texts."""

    ids: Ragged
    begins: Ragged
    ends: Ragged


def tokenize_texts(
    texts: Sequence[str],
    tokenizer: XLMRobertaXLTokenizer,
    *,
    with_offsets: bool,
    parsed_tokens: Collection[str] = (),
) -> Tokens:
    """All tokens of each text. Without offsets, `begins` and `ends` are zeros."""
    pieces: list[str] = []
    shifts: list[int] = []
    num_pieces = []
    for text in texts:
        cuts = pieces_of_text(text, MAX_PIECE_CHARS)
        pieces += [text[begin:end] for begin, end in pairwise(cuts)]
        shifts += cuts[:-1]
        num_pieces.append(len(cuts) - 1)
    encoded = tokenizer.encode_batch(
        pieces, max_length=None, add_special_tokens=False, return_offsets=with_offsets, parsed_tokens=parsed_tokens
    )
    offsets = encoded.row_offsets[offsets_of(np.array(num_pieces, dtype=np.int64))]
    if encoded.begins is None or encoded.ends is None:
        zeros = Ragged(np.zeros_like(encoded.input_ids), offsets)
        return Tokens(Ragged(encoded.input_ids, offsets), zeros, zeros)
    shift = np.repeat(np.array(shifts, dtype=np.int32), encoded.lengths)
    return Tokens(
        Ragged(encoded.input_ids, offsets),
        Ragged(encoded.begins + shift, offsets),
        Ragged(encoded.ends + shift, offsets),
    )


def tokenize_words(texts: Sequence[Sequence[str]], tokenizer: XLMRobertaXLTokenizer) -> Tokens:
    """Tokens of texts that are split into words. Each word is tokenized separately, as after a blank."""
    num_words = np.array([len(words) for words in texts], dtype=np.int64)
    flat = tokenize_texts([word for words in texts for word in words], tokenizer, with_offsets=False)
    offsets = flat.ids.offsets[offsets_of(num_words)]
    number = ranges(np.zeros(len(num_words), dtype=np.int64), num_words)
    word = np.repeat(number, flat.ids.lengths).astype(np.int32)
    return Tokens(Ragged(flat.ids.values, offsets), Ragged(word, offsets), Ragged(word + 1, offsets))


def pieces_of_text(text: str, max_chars: int) -> list[int]:
    """Offsets at which to cut a long text before it is tokenized, from 0 to its length.

    Cuts are before white space if there is any in the last tenth of a piece. As the tokenizer marks the beginning
    of a piece like white space, this does not change the tokens. Other cuts only avoid `<mask>`.
    """
    cuts = [0]
    while len(text) - cuts[-1] > max_chars:
        limit = cuts[-1] + max_chars
        last_tenth = range(limit, limit - max_chars // 10, -1)
        cuts.append(next((i for i in last_tenth if _is_blank(text[i])), _before_mask(text, limit)))
    return [*cuts, len(text)]


def _is_blank(char: str) -> bool:
    return char.isspace() and char not in _DROPPED


def _before_mask(text: str, offset: int) -> int:
    """The offset, or the beginning of a `<mask>` around it."""
    begin = text.find(MASK_TOKEN, max(0, offset - len(MASK_TOKEN) + 1), offset + len(MASK_TOKEN) - 1)
    return offset if begin == -1 else begin

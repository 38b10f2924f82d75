"""Texts -> token ids without special tokens; also very long texts, and texts that are split into words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.ragged import Ragged, offsets_of, ranges
from pipeline.arrays.windows import pieces_of_text

# What is tokenized at once: sentencepiece's lattice takes some hundred bytes a character.
MAX_PIECE_CHARS = 100_000


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, and where each token stands.

    `begins`, `ends`: half-open characters of the text; for texts in words, the word's number and the next.
    """

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
    """Tokens of each text, cut nowhere. Without offsets, `begins` and `ends` are zeros."""
    pieces: list[str] = []
    shifts: list[int] = []
    num_pieces = []
    for text in texts:
        cuts = pieces_of_text(text, MAX_PIECE_CHARS)
        pieces += [text[begin:end] for begin, end in pairwise(cuts)]
        shifts += cuts[:-1]
        num_pieces.append(len(cuts) - 1)
    encoded = tokenizer.encode_batch(
        pieces,
        max_length=None,
        add_special_tokens=False,
        return_offsets=with_offsets,
        parsed_tokens=parsed_tokens,
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
    """Tokens of texts that are split into words: each word is tokenized by itself, with a blank before it."""
    num_words = np.array([len(words) for words in texts], dtype=np.int64)
    flat = tokenize_texts([word for words in texts for word in words], tokenizer, with_offsets=False)
    offsets = flat.ids.offsets[offsets_of(num_words)]
    number = ranges(np.zeros(len(num_words), dtype=np.int64), num_words)
    word = np.repeat(number, flat.ids.lengths).astype(np.int32)
    return Tokens(Ragged(flat.ids.values, offsets), Ragged(word, offsets), Ragged(word + 1, offsets))

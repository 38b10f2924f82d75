"""Word boundaries among sentencepiece pieces, in any script.

A piece begins a word at the beginning of the text and after white space; as in Transformers, punctuation without a
space before it belongs to the word. In scripts that are written without spaces (Chinese, Japanese, Thai, Lao,
Khmer, Burmese and others, and East Asian punctuation), every piece begins a word, except that katakana stays
together, and that no word begins with a combining mark or with a sign that belongs to the letter before it.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays.ragged import offsets_of

# White space of the tokenizer, without zero-width joiners and direction marks, which occur within words and emoji.
_BLANKS = [c for c in range(0x3001) if chr(c).isspace()] + [ord("\u200b"), ord("▁")]
_IS_BLANK = np.zeros(0x110000, dtype=np.bool_)
_IS_BLANK[_BLANKS] = True

_UNSPACED = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x312F),  # radicals, punctuation, hiragana, katakana, bopomofo
    (0x3190, 0x4DBF),  # marks, enclosed and squared characters, ideographs
    (0x4E00, 0xA4CF),  # ideographs, Yi
    (0xA9E0, 0xA9FF),  # Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
    (0xF900, 0xFAFF),  # ideographs
    (0xFE30, 0xFE4F),  # vertical punctuation
    (0xFF01, 0xFF0F),  # full-width punctuation, and between the letters and digits
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF9F),  # and half-width katakana
    (0x1AFF0, 0x1B2FF),  # kana, Nushu
    (0x20000, 0x3FFFF),  # ideographs
)
_KATAKANA = ((0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
_CONTINUES = frozenset("\u200d々〻ゝゞーヽヾｰﾞﾟ")
"""Joiner, and marks of repetition, length and voicing, which belong to the character before them."""
_LEADS = frozenset("\u200dเแโใไເແໂໃໄ")
"""Joiner, and Thai and Lao vowels that are written before their consonant."""


def word_starts(
    texts: Sequence[str], row_offsets: NDArray[np.int64], begins: NDArray[np.int32], ends: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether each piece begins a word, bool `[n]`; never if it shares characters with the piece before it.

    Args:
        texts: one a row.
        row_offsets: int64 `[rows + 1]`, the pieces of each row.
        begins, ends: int32 `[n]`, character offsets in the row's text, half-open, in order.
    """
    if len(begins) == 0:
        return np.zeros(0, dtype=np.bool_)
    # A blank after each text stands for its borders.
    codepoints = np.frombuffer(" ".join([*texts, ""]).encode("utf-32-le"), "<u4")
    text_begins = offsets_of(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)[:-1]
    text_begin = np.repeat(text_begins, np.diff(row_offsets))
    at, stop = text_begin + begins, text_begin + ends

    blanks_before = np.searchsorted(np.flatnonzero(_IS_BLANK[codepoints]), at)
    cuts_script = _is_cut(codepoints[stop[:-1] - 1], codepoints[at[1:]])

    starts = np.ones(len(begins), dtype=np.bool_)
    starts[1:] = ((blanks_before[1:] > blanks_before[:-1]) | cuts_script) & (at[1:] >= stop[:-1])
    starts[row_offsets[:-1][np.diff(row_offsets) > 0]] = True
    return starts


def _is_cut(before: NDArray[np.uint32], after: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Whether there is a word boundary between two characters because of their scripts."""
    distinct, index = np.unique(np.concatenate([before, after]), return_inverse=True)
    of_before, of_after = index[: len(before)], index[len(before) :]
    unspaced, katakana = _is_in(distinct, _UNSPACED), _is_in(distinct, _KATAKANA)
    characters = [chr(code) for code in distinct]
    leads = np.array([c in _LEADS for c in characters], dtype=np.bool_)
    is_mark = np.array([unicodedata.category(c).startswith("M") for c in characters], dtype=np.bool_)
    continues = np.array([c in _CONTINUES for c in characters], dtype=np.bool_) | is_mark
    is_joined = (katakana[of_before] & katakana[of_after]) | leads[of_before] | continues[of_after]
    return (unspaced[of_before] | unspaced[of_after]) & ~is_joined


def _is_in(codes: NDArray[np.uint32], ranges: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    return np.logical_or.reduce([(codes >= first) & (codes <= last) for first, last in ranges])

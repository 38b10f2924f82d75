"""Texts cut into pieces, for the tests of what works on the pieces of a text."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece

# Without lone surrogates: these are no text.
ANY_TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(" \t\r\n\u00a0\u200b\u200d\u0301\ufe0f👩한我是、。ンーァコเมืองน้ำaé,-()ﬁ㍿"),
    ),
    max_size=24,
)


@dataclass(frozen=True)
class Pieces:
    """Rows of pieces, end to end."""

    texts: list[str]
    row_offsets: NDArray[np.int64]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]

    def row(self, i: int) -> "Pieces":
        """The pieces of one row."""
        own = slice(self.row_offsets[i], self.row_offsets[i + 1])
        offsets = np.array([0, own.stop - own.start])
        return Pieces([self.texts[i]], offsets, self.begins[own], self.ends[own])


def make_pieces(texts: list[str], spans: list[list[tuple[int, int]]]) -> Pieces:
    """Pieces of these spans, one list a text."""
    flat = np.array([span for row in spans for span in row], dtype=np.int32).reshape(-1, 2)
    return Pieces(texts, np.cumsum([0, *map(len, spans)], dtype=np.int64), flat[:, 0], flat[:, 1])


@st.composite
def any_pieces(draw: st.DrawFn) -> Pieces:
    """Any text in any pieces: with gaps, empty, or sharing characters, but in order."""
    texts = draw(st.lists(ANY_TEXT, max_size=4))
    spans = []
    for text in texts:
        place = st.integers(0, len(text))
        num_pieces = draw(st.integers(0, 8))
        begins = sorted(draw(st.lists(place, min_size=num_pieces, max_size=num_pieces)))
        ends = sorted(draw(st.lists(place, min_size=num_pieces, max_size=num_pieces)))
        spans.append([(begin, max(begin, end)) for begin, end in zip(begins, ends, strict=True)])
    return make_pieces(texts, spans)


@st.composite
def spaced_pieces(draw: st.DrawFn) -> Pieces:
    """Words of one script with single spaces between, cut anywhere: what Transformers reads as we do."""
    letters = st.sampled_from("aéßжךकि.,-'한")
    rows = draw(st.lists(st.lists(st.text(letters, min_size=1, max_size=5), min_size=1, max_size=6), max_size=4))
    spans = []
    for words in rows:
        row, begin = [], 0
        for word in words:
            inner = draw(st.sets(st.integers(1, len(word) - 1))) if len(word) > 1 else set()
            cuts = [0, *sorted(inner), len(word)]
            row += [(begin + a, begin + b) for a, b in pairwise(cuts)]
            begin += len(word) + 1
        spans.append(row)
    return make_pieces([" ".join(words) for words in rows], spans)


def tokenized(texts: list[str], directory: Path) -> Pieces:
    """Pieces of the tiny tokenizer."""
    tokenizer = XLMRobertaXLTokenizer(write_tiny_sentencepiece(directory))
    encoding = tokenizer.encode_batch(texts, max_length=None, add_special_tokens=False, return_offsets=True)
    assert encoding.begins is not None
    assert encoding.ends is not None
    return Pieces(texts, encoding.row_offsets, encoding.begins, encoding.ends)

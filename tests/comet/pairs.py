"""The pairs that COMET and this package are compared on: the demo's sample, in 72 languages, and edge cases."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from jobs.demo.sample import read_source
from model import XLMRobertaXLTokenizer

NUM_SPECIAL = {"source": 4, "both": 6}
"""Special tokens of translation and source, and of translation, source and reference."""


@dataclass(frozen=True)
class Pair:
    """A source, its translation and a reference; `kind` says what is special about it."""

    kind: str
    source: str
    translation: str
    reference: str


def sample_pairs() -> list[Pair]:
    """Each text of the sample as a translation, beside two others of it."""
    texts = sample_texts()
    num_texts = len(texts)
    return [
        Pair("sample", texts[(149 * n + 31) % num_texts], text, texts[(211 * n + 67) % num_texts])
        for n, text in enumerate(texts)
    ]


def sample_texts() -> list[str]:
    """The texts of the demo's sample, without its broken rows."""
    return [row.text for row in read_source() if row.lang is not None and row.text is not None]


def edge_pairs(tokenizer: XLMRobertaXLTokenizer) -> list[Pair]:
    """Empty strings, texts beyond every limit, pairs of just so many tokens, and equal strings."""
    texts = sample_texts()
    short, other, third = texts[0], texts[25], texts[90]
    pairs = [
        Pair("empty translation", short, "", other),
        Pair("empty source", "", short, other),
        Pair("empty reference", short, other, ""),
        Pair("all empty", "", "", ""),
    ]
    long = {n: text_of(tokenizer, texts, n, start=n) for n in (300, 400, 509, 510, 700)}
    pairs += [
        Pair(f"long {source} {translation}", *(long.get(n, short) for n in (source, translation, reference)))
        for source, translation, reference in (
            (700, 1, 1), (1, 700, 1), (1, 1, 700), (700, 700, 700), (400, 300, 300), (300, 400, 400),
            (509, 1, 1), (510, 1, 1), (1, 509, 1), (1, 510, 1), (510, 510, 510),
        )
    ]  # fmt: skip
    for total in (510, 511, 512, 513):
        source = text_of(tokenizer, texts, total - NUM_SPECIAL["source"] - 200, start=total)
        pairs.append(Pair(f"source {total}", source, text_of(tokenizer, texts, 200, start=7 * total), third))
        parts = [text_of(tokenizer, texts, n, start=n + total) for n in (150, 170, total - 6 - 320)]
        pairs.append(Pair(f"both {total}", *parts))
    return pairs + [Pair("equal", text, text, text) for text in (short, other, third, texts[200])]


def text_of(tokenizer: XLMRobertaXLTokenizer, texts: Sequence[str], num_tokens: int, *, start: int) -> str:
    """A text of exactly so many tokens without special ones, of words of the sample from the text `start` on."""
    words = " ".join([*texts[start % len(texts) :], *texts]).split()
    chosen: list[str] = []
    left = num_tokens
    for word in words:
        # Words between blanks are tokenized each by itself.
        length = len(tokenizer.tokenize(word))
        if length <= left:
            chosen.append(word)
            left -= length
        if left == 0:
            break
    text = " ".join(chosen)
    assert len(tokenizer.tokenize(text)) == num_tokens
    return text


def digest_of(pairs: Sequence[Pair]) -> str:
    """The SHA-256 of pairs: what was expected was said of these."""
    return hashlib.sha256(json.dumps([astuple(pair) for pair in pairs]).encode()).hexdigest()

"""The fast path to ragged arrays: layout, truncation, and that text is never a special token."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from model.tokenizer import sentencepiece_encoder
from model.tokenizer.pieces import Insertion, Pieces, Spans, regroup
from model.tokenizer.ragged_encoding import RaggedEncoding
from model.tokenizer.special_tokens import MASK_TOKEN, SPECIAL_TOKENS, Segment, split_special_tokens
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

TEXTS = [*SENTENCES, "", "   ", "unknown \U00020000\U00020001 \U00020002", "Ａ\u0301 <mask> </s> x"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


def rows_of(values: Any, ragged: RaggedEncoding) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, ragged.row_offsets[1:-1])]


def assert_same(found: RaggedEncoding, expected: RaggedEncoding) -> None:
    for name in ("input_ids", "row_offsets", "num_tokens_full", "begins", "ends", "segment"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("max_length", [2, 5, 9, 512, None])
@pytest.mark.parametrize("side", ["left", "right"])
def test_singles_are_cut_and_keep_their_special_tokens(
    tokenizer: XLMRobertaXLTokenizer,
    max_length: int | None,
    side: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    ragged = tokenizer.encode_batch(
        TEXTS, max_length=max_length, parsed_tokens=SPECIAL_TOKENS, return_offsets=True
    )
    expected = tokenizer(
        TEXTS,
        truncation=max_length is not None,
        max_length=max_length,
        return_offsets_mapping=True,
    )
    assert rows_of(ragged.input_ids, ragged) == expected["input_ids"]
    whole = tokenizer(TEXTS)["input_ids"]
    assert ragged.num_tokens_full.tolist() == [len(row) for row in whole]
    assert ragged.lengths.tolist() == [len(row) for row in expected["input_ids"]]
    assert len(ragged) == len(TEXTS)
    spans = [span for row in expected["offset_mapping"] for span in row]
    assert ragged.begins is not None
    assert ragged.ends is not None
    assert ragged.segment is not None
    assert list(zip(ragged.begins.tolist(), ragged.ends.tolist(), strict=True)) == spans
    assert set(ragged.segment.tolist()) <= {-1, 0}
    assert (ragged.segment == -1).sum() == 2 * len(TEXTS)


@pytest.mark.parametrize("add_special_tokens", [True, False])
@pytest.mark.parametrize("max_length", [6, 13, 40, None])
def test_pairs_are_cut_longest_first(
    tokenizer: XLMRobertaXLTokenizer, add_special_tokens: bool, max_length: int | None
) -> None:
    pairs = TEXTS[5:] + TEXTS[:5]
    options: dict[str, Any] = {"add_special_tokens": add_special_tokens, "max_length": max_length}
    ragged = tokenizer.encode_batch(TEXTS, pairs, return_offsets=True, parsed_tokens=SPECIAL_TOKENS, **options)
    expected = tokenizer(TEXTS, pairs, truncation=max_length is not None, **options)
    assert rows_of(ragged.input_ids, ragged) == expected["input_ids"]
    segments = [
        -1 if sequence is None else sequence
        for row in range(len(TEXTS))
        for sequence in expected.sequence_ids(row)
    ]
    assert ragged.segment is not None
    assert ragged.segment.tolist() == segments
    whole = tokenizer(TEXTS, pairs, add_special_tokens=add_special_tokens)["input_ids"]
    assert ragged.num_tokens_full.tolist() == [len(row) for row in whole]


def test_arrays_have_the_documented_types(tokenizer: XLMRobertaXLTokenizer) -> None:
    for texts in (TEXTS, [], ["<mask>"], ["", ""]):
        for parsed in ((), SPECIAL_TOKENS):
            ragged = tokenizer.encode_batch(texts, return_offsets=True, parsed_tokens=parsed)
            assert ragged.begins is not None
            assert ragged.ends is not None
            assert ragged.segment is not None
            assert ragged.input_ids.dtype == ragged.begins.dtype == ragged.ends.dtype == np.int32
            assert ragged.num_tokens_full.dtype == np.int32
            assert ragged.row_offsets.dtype == np.int64
            assert ragged.segment.dtype == np.int8
            total = int(ragged.row_offsets[-1])
            assert {len(ragged.input_ids), len(ragged.begins), len(ragged.segment)} == {total}
            assert len(ragged.num_tokens_full) == len(ragged) == len(texts)
    plain = tokenizer.encode_batch(TEXTS)
    assert plain.begins is plain.ends is plain.segment is None


def test_special_tokens_in_a_text_are_plain_text(tokenizer: XLMRobertaXLTokenizer) -> None:
    hostile = ["<s>", "</s> </s>", "a <mask> b", "<pad><pad>", "<s>x</s>", "ＣＬＳ ＜/s＞"]
    ragged = tokenizer.encode_batch(hostile, add_special_tokens=False)
    assert not set(ragged.input_ids.tolist()) & {0, 1, 2, tokenizer.mask_token_id}
    assert (ragged.lengths > 0).all()
    parsed = tokenizer.encode_batch(hostile, add_special_tokens=False, parsed_tokens=SPECIAL_TOKENS)
    assert rows_of(parsed.input_ids, parsed)[:2] == [[0], [2, 2]]
    masks = tokenizer.encode_batch([*hostile, "<s> <mask>"], add_special_tokens=False, parsed_tokens=[MASK_TOKEN])
    special = [
        [i for i in row if i in (0, 1, 2, tokenizer.mask_token_id)] for row in rows_of(masks.input_ids, masks)
    ]
    assert special == [[], [], [tokenizer.mask_token_id], [], [], [], [tokenizer.mask_token_id]]


@pytest.mark.parametrize("parsed_tokens", [SPECIAL_TOKENS, (MASK_TOKEN,), ()])
def test_neither_threads_nor_bites_change_the_result(
    tokenizer: XLMRobertaXLTokenizer, parsed_tokens: Collection[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"return_offsets": True, "parsed_tokens": parsed_tokens}
    expected = tokenizer.encode_batch(TEXTS, TEXTS[::-1], **options)
    assert_same(tokenizer.encode_batch(TEXTS, TEXTS[::-1], num_threads=2, **options), expected)
    tokens = [tokenizer(TEXTS).tokens(row) for row in range(len(TEXTS))]
    for max_chars in (1, 50, 300):
        monkeypatch.setattr(sentencepiece_encoder, "MAX_CHARS_AT_ONCE", max_chars)
        assert_same(tokenizer.encode_batch(TEXTS, TEXTS[::-1], **options), expected)
        assert [tokenizer(TEXTS).tokens(row) for row in range(len(TEXTS))] == tokens


def test_lengths_that_cannot_be_are_refused(tokenizer: XLMRobertaXLTokenizer) -> None:
    with pytest.raises(ValueError, match="max_length: found 1, expected at least the 2 special"):
        tokenizer.encode_batch(["a"], max_length=1)
    with pytest.raises(ValueError, match="max_length: found 3, expected at least the 4 special"):
        tokenizer.encode_batch(["a"], ["b"], max_length=3)
    with pytest.raises(ValueError, match="pairs: found 1, expected 2, one for each text"):
        tokenizer.encode_batch(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="text 1 holds a lone surrogate at character 2"):
        tokenizer.encode_batch(["a", "ab\ud800"])


def test_text_is_split_around_special_tokens() -> None:
    assert split_special_tokens("no <token>") == [Segment("no <token>", 0, is_special=False)]
    assert split_special_tokens("") == [Segment("", 0, is_special=False)]
    assert split_special_tokens("a \u1680<mask> b <s></s>") == [
        Segment("a", 0, is_special=False),
        Segment("<mask>", 3, is_special=True),
        Segment(" b ", 9, is_special=False),
        Segment("<s>", 12, is_special=True),
        Segment("</s>", 15, is_special=True),
    ]


def test_segments_become_the_pieces_of_their_texts() -> None:
    """Texts "u<s>v", "<s>" and "uv" of the segments u, v, uv; the piece after the first <s> is unknown."""
    spans = Spans(
        np.array([0, 0, 0, 1], np.int32),
        np.array([1, 1, 1, 2], np.int32),
        np.array([True, True, True, False]),
        {1: "v", 3: "w"},
    )
    pieces = Pieces(np.array([7, 3, 7, 3], np.int32), np.array([0, 1, 2, 4]), spans)
    insertions = [Insertion(1, 0, 1, 4), Insertion(2, 0, 0, 3)]
    joined = regroup(pieces, np.array([0, 4, 0], np.int32), insertions, np.array([0, 3, 4, 6]))
    assert joined.ids.tolist() == [7, 0, 3, 0, 7, 3]
    assert joined.lengths.tolist() == [3, 1, 2]
    assert joined.spans is not None
    assert joined.spans.begins.tolist() == [0, 1, 4, 0, 0, 1]
    assert joined.spans.ends.tolist() == [1, 4, 5, 3, 1, 2]
    assert joined.spans.is_word_start.tolist() == [True, True, True, True, True, False]
    assert joined.spans.unknown_surfaces == {2: "v", 5: "w"}

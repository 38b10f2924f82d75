from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from pipeline.tasks.word_boundaries import word_starts
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.tasks.piece_fixtures import Pieces, any_pieces, make_pieces, spaced_pieces, tokenized


def starts_of(pieces: Pieces) -> list[bool]:
    starts = word_starts(pieces.texts, pieces.row_offsets, pieces.begins, pieces.ends)
    assert starts.dtype == np.bool_
    return list(starts.tolist())


def words_of(text: str, *pieces: str) -> list[str]:
    """Words of a text, from its pieces in order; those of one word joined by +."""
    spans, begin = [], 0
    for piece in pieces:
        begin = text.index(piece, begin)
        spans.append((begin, begin + len(piece)))
        begin += len(piece)
    words: list[list[str]] = []
    for starts, piece in zip(starts_of(make_pieces([text], [spans])), pieces, strict=True):
        if starts:
            words.append([])
        words[-1].append(piece)
    return ["+".join(word) for word in words]


@given(spaced_pieces())
def test_spaces_part_words(pieces: Pieces) -> None:
    starts = starts_of(pieces)
    for i in range(len(pieces.texts)):
        row = pieces.row(i)
        expected = [begin == 0 or row.texts[0][begin - 1] == " " for begin in row.begins.tolist()]
        assert starts[pieces.row_offsets[i] : pieces.row_offsets[i + 1]] == expected


@given(any_pieces())
def test_any_text_in_any_pieces_has_words_row_by_row(pieces: Pieces) -> None:
    starts = starts_of(pieces)
    assert len(starts) == len(pieces.begins)
    for i in range(len(pieces.texts)):
        own, row = starts[pieces.row_offsets[i] : pieces.row_offsets[i + 1]], pieces.row(i)
        assert own == starts_of(row)
        assert all(own[:1])
        overlaps = row.begins[1:] < row.ends[:-1]
        assert not any(starts and overlap for starts, overlap in zip(own[1:], overlaps.tolist(), strict=True))


@pytest.mark.parametrize(
    "blank", [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u3000", "\u200b", "\u2028", " \u0001 "]
)
def test_any_blank_parts_words(blank: str) -> None:
    assert words_of(f"{blank}New{blank}Yo" + "rk", "New", "Yo", "rk") == ["New", "Yo+rk"]


@pytest.mark.parametrize("inner", ["", "\u00ad", "\u200c", "\u200d", "\u200e", "\ufeff", "\u0001", "\u0301"])
def test_what_is_no_blank_to_the_reader_parts_nothing(inner: str) -> None:
    assert words_of(f"می{inner}خواهم", "می", "خواهم") == ["می+خواهم"]


def test_punctuation_stays_with_its_word_as_in_transformers() -> None:
    assert words_of("(Saint-Étienne), ok", "(", "Saint", "-", "Étienne", ")", ",", "ok") == [
        "(+Saint+-+Étienne+)+,",
        "ok",
    ]


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("北京大学在上海。", ["北京", "大学", "在", "上海", "。"], ["北京", "大学", "在", "上海", "。"]),
        ("「Paris」は", ["「", "Par", "is", "」", "は"], ["「", "Par+is", "」", "は"]),
        ("2008年", ["20", "08", "年"], ["20+08", "年"]),
        ("ＡＢＣ！ＤＥ", ["ＡＢ", "Ｃ", "！", "Ｄ", "Ｅ"], ["ＡＢ+Ｃ", "！", "Ｄ+Ｅ"]),
        ("アメリカ人が", ["アメ", "リカ", "人", "が"], ["アメ+リカ", "人", "が"]),
        ("らーめん人々", ["ら", "ー", "めん", "人", "々"], ["ら+ー", "めん", "人+々"]),
        ("ﾃﾞｰﾀ", ["ﾃ", "ﾞ", "ｰﾀ"], ["ﾃ+ﾞ+ｰﾀ"]),
        ("เมืองน้ำตก", ["เ", "มือง", "น", "้ำ", "ตก"], ["เ+มือง", "น+้ำ", "ตก"]),
        ("ໄປໂຮງຮຽນ", ["ໄ", "ປ", "ໂຮງ", "ຮຽນ"], ["ໄ+ປ", "ໂຮງ", "ຮຽນ"]),
        ("ប្រទេសកម្ពុជា", ["ប្រ", "ទេស", "កម្ពុជា"], ["ប្រ", "ទេស", "កម្ពុជា"]),
        ("မြန်မာနိုင်ငံ", ["မ", "ြန်မာ", "နိုင်ငံ"], ["မ+ြန်မာ", "နိုင်ငံ"]),
        ("서울에서 온", ["서울", "에서", "온"], ["서울+에서", "온"]),
        ("नमस्ते दुनिया", ["नम", "स्ते", "दुनिया"], ["नम+स्ते", "दुनिया"]),
        ("👩\u200d👩\u200d👧 hi", ["👩", "👩", "👧", "hi"], ["👩+👩+👧", "hi"]),
    ],
)
def test_words_of_scripts(text: str, pieces: list[str], words: list[str]) -> None:
    assert words_of(text, *pieces) == words


def test_pieces_that_share_a_character_are_of_one_word() -> None:
    # The metaspace alone takes the span of the character that it introduces.
    assert starts_of(make_pieces(["北京在"], [[(0, 1), (0, 2), (2, 3)]])) == [True, False, True]
    assert starts_of(make_pieces(["㍿"], [[(0, 1), (0, 1)]])) == [True, False]


def test_a_text_that_goes_on_where_another_ended_begins_anew() -> None:
    pieces = make_pieces(["ab", "", "cd"], [[(0, 1), (1, 2)], [], [(0, 2)]])
    assert starts_of(pieces) == [True, False, True]


def test_no_pieces_are_no_words() -> None:
    assert starts_of(make_pieces(["", " "], [[], []])) == []
    assert starts_of(make_pieces([], [])) == []


def test_words_of_tokenized_sentences(tmp_path: Path) -> None:
    pieces = tokenized(list(SENTENCES), tmp_path)
    starts = word_starts(pieces.texts, pieces.row_offsets, pieces.begins, pieces.ends)
    counts = np.add.reduceat(starts, pieces.row_offsets[:-1], dtype=np.int64)
    for text, count in zip(pieces.texts, counts.tolist(), strict=True):
        if any("\u3040" <= c <= "\u9fff" or "\u0e00" <= c <= "\u0e7f" for c in text):
            assert count > 4
        else:
            assert count == len(text.split())

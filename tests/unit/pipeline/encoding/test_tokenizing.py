"""Tokens of texts of any length and any script, and where they stand; of texts that are split into words."""

import subprocess
import sys
from itertools import chain, pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sentencepiece as spm
from hypothesis import example, given
from hypothesis import strategies as st

import pipeline.encoding.tokenizing
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.ragged import Ragged
from pipeline.encoding.fragment import encode_items
from pipeline.encoding.items import Items
from pipeline.encoding.tokenizing import Tokens, pieces_of_text, tokenize_texts, tokenize_words
from pipeline.tasks.contract import SequenceSpec
from tests.shared_data import shared_data
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

ODD_TEXTS = (
    "e\u0301te\u0301 क्षि กำลัง",  # combining marks
    "ＡＢＣ　１２３",  # full-width forms and blank
    "ﬁne ﷺ ㍿ ½ …",  # what NFKC expands
    "👨‍👩‍👧‍👦 🇹🇼 👍🏽",  # joiners, flags, skin tones
    "one\r\ntwo\r\n\r\nthree",
    " \t leading\u00a0blanks ",
    "zero\u200bwidth\u200b \ufeffspace\u2060",
    "control\x00\x01\x85chars\x1f \u202eright to left\u202c",
    "\U00020000\U0001f9ff\ue000 unknown",
    "▁meta▁space ▁",
)
BLANKS = (" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", " \x0b ", "\u200b ")

any_text = st.text(max_size=60)
texts_with_blanks = st.lists(
    st.tuples(st.text(st.sampled_from("abcéﬁ語ф\u0301\x85"), min_size=1, max_size=5), st.sampled_from(BLANKS)),
    max_size=60,
).map(lambda words: "".join(chain.from_iterable(words)))


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(vocab_file: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(vocab_file)


@pytest.fixture(scope="module")
def normalizer(vocab_file: Path) -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_file=str(vocab_file))


def rows(part: Ragged) -> list[list[int]]:
    return [part.values[a:b].tolist() for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)]


def as_lists(tokens: Tokens) -> list[list[list[int]]]:
    return [rows(part) for part in (tokens.ids, tokens.begins, tokens.ends)]


def tokens_in_pieces(
    texts: list[str], tokenizer: XLMRobertaXLTokenizer, max_chars: int, **options: Any
) -> list[list[list[int]]]:
    """What comes of the texts if this is much at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.encoding.tokenizing, "MAX_PIECE_CHARS", max_chars)
        return as_lists(tokenize_texts(texts, tokenizer, with_offsets=True, **options))


@given(st.lists(any_text, max_size=4), st.booleans())
@example(list(ODD_TEXTS), True)
def test_short_texts_are_what_the_tokenizer_makes_of_them(
    tokenizer: XLMRobertaXLTokenizer, texts: list[str], with_offsets: bool
) -> None:
    ids, begins, ends = as_lists(tokenize_texts(texts, tokenizer, with_offsets=with_offsets))
    encoded = [
        tokenizer(text, add_special_tokens=False, return_offsets_mapping=True) for text in map(_unparsed, texts)
    ]
    expected = [tokenizer.encode_batch([t], max_length=None, add_special_tokens=False) for t in texts]
    assert ids == [row.input_ids.tolist() for row in expected]
    if with_offsets:
        spans = [list(zip(a, b, strict=True)) for a, b in zip(begins, ends, strict=True)]
        assert spans == [[tuple(span) for span in row["offset_mapping"]] for row in encoded]
    else:
        assert not any(chain.from_iterable(begins + ends))


def _unparsed(text: str) -> str:
    """A call parses special tokens, which are plain text here: keep clear of them, at equal length."""
    return text.replace("<", "(") if any(t in text for t in ("<s>", "<mask>", "</s>", "<unk>", "<pad>")) else text


@given(st.lists(texts_with_blanks, min_size=1, max_size=3))
def test_a_text_that_is_cut_at_blanks_has_the_tokens_of_the_whole(
    tokenizer: XLMRobertaXLTokenizer, texts: list[str]
) -> None:
    """Words of at most 5 characters, and blanks of at most 3: there is a blank in the last tenth of 80."""
    whole = as_lists(tokenize_texts(texts, tokenizer, with_offsets=True))
    assert tokens_in_pieces(texts, tokenizer, 80) == whole


def test_real_documents_that_are_cut_at_blanks_have_the_tokens_of_the_whole() -> None:
    """All but a few in ten thousand: sentencepiece adds up its scores along the whole text in fp32, so that of two
    ways to cut a word that are equally good to six digits, either may win further on in a text."""
    tokenizer = XLMRobertaXLTokenizer(shared_data("xlm-roberta-tokenizer", "sentencepiece.bpe.model"))
    table = pq.read_table(shared_data("corpus", "part-00000.parquet"), filters=[("source", "==", "udhr")])
    texts = [text for text in table["text"].to_pylist() if max(map(len, text.split())) < 40][:40]
    whole, cut = (placed_tokens(texts, tokenizer, max_chars) for max_chars in (10**6, 500))
    num_tokens = sum(map(len, whole))
    assert num_tokens > 100_000
    assert sum(len(a ^ b) for a, b in zip(whole, cut, strict=True)) < num_tokens / 1000
    assert sum(a == b for a, b in zip(whole, cut, strict=True)) > 0.8 * len(texts)


def placed_tokens(
    texts: list[str], tokenizer: XLMRobertaXLTokenizer, max_chars: int
) -> list[set[tuple[int, int, int]]]:
    """Id, begin and end of the tokens of each text."""
    parts = tokens_in_pieces(texts, tokenizer, max_chars)
    return [set(zip(*row, strict=True)) for row in zip(*parts, strict=True)]


@given(any_text, st.integers(20, 40))
@example("".join(ODD_TEXTS), 20)
@example("語" * 100, 20)
def test_any_text_in_pieces_keeps_its_characters_in_place(
    tokenizer: XLMRobertaXLTokenizer, normalizer: spm.SentencePieceProcessor, text: str, max_chars: int
) -> None:
    """Without blanks a cut may fall within a word: other tokens, but none of another place."""
    _, [begins], [ends] = tokens_in_pieces([text], tokenizer, max_chars)
    assert_spans(text, begins, ends, normalizer)


def test_a_mask_is_whole_wherever_a_long_text_is_cut(tokenizer: XLMRobertaXLTokenizer) -> None:
    for num_before in range(30):
        text = "語" * num_before + "<mask>" + "語" * 30
        [ids], _, _ = tokens_in_pieces([text], tokenizer, 20, parsed_tokens=["<mask>"])
        assert ids.count(tokenizer.mask_token_id) == 1, num_before


def assert_spans(text: str, begins: list[int], ends: list[int], normalizer: spm.SentencePieceProcessor) -> None:
    """Slices of the text, in order; only what the tokenizer drops, and blanks, is in none of them."""
    assert all(0 <= begin < end <= len(text) for begin, end in zip(begins, ends, strict=True))
    assert begins == sorted(begins)
    assert ends == sorted(ends)
    covered = set(chain.from_iterable(map(range, begins, ends)))
    for i, char in enumerate(text):
        assert i in covered or normalizer.normalize(char).strip("▁") == "", f"character {i}"


@given(st.lists(any_text.filter(str.strip), min_size=1, max_size=3))
@example(list(ODD_TEXTS))
@example(["".join(SENTENCES)])
def test_windows_hold_all_tokens_and_their_spans(
    tokenizer: XLMRobertaXLTokenizer, normalizer: spm.SentencePieceProcessor, texts: list[str]
) -> None:
    """From any Unicode to windows of 16 tokens: what windows own is the text, each token once and in order."""
    items = Items(row=list(range(len(texts))), number=[0] * len(texts), texts=texts)
    spec = SequenceSpec("text", ("text",), window=16, stride=5)
    encoded = encode_items(items, spec, tokenizer, len(texts), with_offsets=True)
    whole = as_lists(tokenize_texts(texts, tokenizer, with_offsets=True))
    for row, windows in enumerate(encoded.windows.to_pylist()):
        ids, begins, ends = (part[row] for part in whole)
        assert (row in encoded.problems) == (not ids)
        assert encoded.num_windows[row] == len(windows)
        assert encoded.num_tokens[row] == (len(ids) + 2 if ids else 0)
        assert owned(windows, "input_ids") == ids
        assert owned(windows, "begins") == begins
        assert owned(windows, "ends") == ends
        assert_spans(texts[row], begins, ends, normalizer)
        for window in windows:
            body = slice(window["body_begin"], window["body_begin"] + window["body_size"])
            assert window["input_ids"] == [0, *ids[body], 2]
            assert len(window["input_ids"]) <= 16
            assert window["begins"] == [0, *begins[body], 0]
            assert window["is_last"] == (body.stop == len(ids))


def owned(windows: list[dict[str, Any]], name: str) -> list[int]:
    return [value for window in windows for value in window[name][window["owned_begin"] : window["owned_end"]]]


@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=6), max_size=4))
@example([["", "\u200b", "<mask>"], SENTENCES[0].split() * 80])
def test_words_are_tokenized_by_themselves(tokenizer: XLMRobertaXLTokenizer, texts: list[list[str]]) -> None:
    """Begins are numbers of words; a word without tokens is passed over, and all others are there."""
    ids, begins, ends = as_lists(tokenize_words(texts, tokenizer))
    for row, words in enumerate(texts):
        alone = [tokenizer.encode_batch([w], max_length=None, add_special_tokens=False).input_ids for w in words]
        assert ids[row] == list(chain.from_iterable(a.tolist() for a in alone))
        assert begins[row] == list(chain.from_iterable([i] * len(a) for i, a in enumerate(alone)))
        assert ends[row] == [number + 1 for number in begins[row]]


def test_no_word_is_lost_past_the_first_window(tokenizer: XLMRobertaXLTokenizer) -> None:
    words = " ".join(SENTENCES * 2).split()
    spec = SequenceSpec("words", ("tokens",), window=64, stride=16)
    encoded = encode_items(Items(row=[0], number=[0], words=[words]), spec, tokenizer, 1)
    [windows] = encoded.windows.to_pylist()
    assert len(windows) > 20
    assert list(dict.fromkeys(owned(windows, "begins"))) == list(range(len(words)))


TEN_MEGABYTES = """
    import resource, sys
    from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
    from pipeline.encoding.fragment import encode_items
    from pipeline.encoding.items import Items
    from pipeline.tasks.contract import SequenceSpec
    from tests.tiny_tokenizer import SENTENCES

    def peak_mib():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    tokenizer = XLMRobertaXLTokenizer(sys.argv[1])
    joined = "\\n".join(SENTENCES) + "\\n"
    text = joined * (10_000_000 // len(joined.encode()) + 1)
    items = Items(row=[0], number=[0], texts=[text])
    before = peak_mib()
    encoded = encode_items(items, SequenceSpec("text", ("text",), 512, 128), tokenizer, 1, with_offsets=True)
    print(peak_mib() - before, encoded.num_tokens[0], encoded.num_windows[0])
"""


@pytest.fixture
def ten_megabytes(vocab_file: Path) -> tuple[float, int, int]:
    """A document of ten million bytes in a process of its own: MiB that it takes, tokens, windows."""
    command = [sys.executable, "-c", dedent(TEN_MEGABYTES), str(vocab_file)]
    root = Path(__file__).resolve().parents[4]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()
    return float(output[0]), int(output[1]), int(output[2])


def test_a_document_of_ten_megabytes_is_a_row_like_any_other(ten_megabytes: tuple[float, int, int]) -> None:
    mib, num_tokens, num_windows = ten_megabytes
    assert num_tokens > 4_000_000
    assert num_windows == 1 + int(np.ceil((num_tokens - 2 - 510) / (510 - 128)))
    # Its windows alone are 75 MiB; if the text were tokenized at once, it would be twice the bound.
    assert mib < 450


CUTTABLE_TEXTS = st.text(st.sampled_from("abc <>mask\n\u3000\x85\x1f語é"), max_size=300)


@given(CUTTABLE_TEXTS, st.integers(20, 60))
def test_pieces_of_a_text_are_bounded_and_lose_nothing(text: str, max_chars: int) -> None:
    offsets = pieces_of_text(text, max_chars)
    assert (offsets[0], offsets[-1]) == (0, len(text))
    assert "".join(text[begin:end] for begin, end in pairwise(offsets)) == text
    assert all(0 < end - begin <= max_chars for begin, end in pairwise(offsets)) or not text
    assert len(offsets) == 2 or len(text) > max_chars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a" * 95 + " " + "b" * 60, 95, id="before the blank"),
        pytest.param("a" * 100 + " " + "b" * 60, 100, id="a blank just behind"),
        pytest.param("a" * 93 + "  " + "b" * 60, 94, id="before the last of several"),
        pytest.param("a" * 80 + " " + "b" * 60, 100, id="no blank in the last tenth"),
        pytest.param("a" * 95 + "\u3000" + "b" * 60, 95, id="ideographic space"),
        pytest.param("a" * 95 + "\x85" + "b" * 60, 100, id="white space that the tokenizer drops"),
        pytest.param("語" * 97 + "<mask>" + "語" * 60, 97, id="before a mask"),
        pytest.param("語" * 94 + "<mask>" + "語" * 60, 100, id="behind a mask"),
        pytest.param("語" * 100 + "<mask>" + "語" * 60, 100, id="just before a mask"),
    ],
)
def test_where_a_long_text_is_cut(text: str, expected: int) -> None:
    assert pieces_of_text(text, 100)[1] == expected

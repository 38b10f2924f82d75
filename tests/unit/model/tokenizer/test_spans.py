"""Character spans: by hand on difficult text, and as properties of any text."""

import re
from pathlib import Path

import pytest
import sentencepiece as spm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece

ANY_TEXT = st.text() | st.text(alphabet="ab \u0301\u200b\u200d\u3000ﬁﷺ㍿½\u1100\u1161\u0001\r\nก\u0e33▁👨")


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(vocab_file: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(vocab_file)


@pytest.fixture(scope="module")
def processor(vocab_file: Path) -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_file=str(vocab_file))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The river was high!", ["The", "river", "was", "high!"]),
        ("  leading  and trailing ", ["leading", "and", "trailing"]),
        ("e\u0301te\u0301 cafe\u0301", ["e\u0301te\u0301", "cafe\u0301"]),
        ("ﬁnance Ａ１ ½", ["ﬁnance", "Ａ１", "½"]),
        ("ﷺ a", ["ﷺ", "ﷺ", "ﷺ", "ﷺ", "a"]),
        ("㍿の", ["㍿の"]),
        ("\u1112\u1161\u11ab x", ["\u1112\u1161\u11ab", "x"]),
        ("ก\u0e33 a", ["ก\u0e33", "a"]),
        ("👨\u200d👩\u200d👧 family", ["👨\u200d👩\u200d👧", "family"]),
        ("👍🏽 ok", ["👍🏽", "ok"]),
        ("a\r\nb\tc\u3000d", ["a", "b", "c", "d"]),
        ("zero\u200bwidth \ufeffmark", ["zero", "width", "mark"]),
        ("control\u0001chars\u0001 \u0001here\u0001", ["control\u0001chars", "here"]),
        ("三天的 雨", ["三天的", "雨"]),
        ("تقرأ الجريدة", ["تقرأ", "الجريدة"]),
        ("\U00020000\U00020001 \U00020002", ["\U00020000\U00020001", "\U00020002"]),
        (" \n\u200b", []),
    ],
)
def test_words_are_found_in_the_original_text(
    tokenizer: XLMRobertaXLTokenizer, text: str, words: list[str]
) -> None:
    """The spans of a word's pieces together are the word, with no blank around it."""
    encoding = tokenizer(text)[0]
    word_ids = [word for word in encoding.word_ids if word is not None]
    assert sorted(set(word_ids)) == list(range(len(words)))
    for word, expected in enumerate(words):
        span = encoding.word_to_chars(word)
        assert span is not None
        assert text[span.start : span.end] == expected


def test_a_lone_metaspace_takes_the_span_of_what_it_introduces(
    tokenizer: XLMRobertaXLTokenizer,
) -> None:
    batch = tokenizer("a \U00020000b", return_offsets_mapping=True)
    assert batch.tokens()[2:4] == ["▁", "\U00020000"]
    assert batch.offset_mapping[2:4] == [(2, 3), (2, 3)]
    assert batch.char_to_token(1) is None
    assert batch.char_to_token(2) == 2


def test_offsets_of_words_count_from_the_word(tokenizer: XLMRobertaXLTokenizer) -> None:
    words = ["river", " high", "\U00020000", "", "ﬁ"]
    batch = tokenizer(words, is_split_into_words=True, return_offsets_mapping=True)
    pieces: list[list[str]] = [[] for _ in words]
    for word, (begin, end) in zip(batch.word_ids(), batch.offset_mapping, strict=True):
        if word is not None and end > begin:
            pieces[word].append(words[word][begin:end])
    assert "".join(pieces[0]).endswith("iver")
    assert set(pieces[2]) == {"\U00020000"}
    assert pieces[3] == []
    assert set(pieces[4]) == {"ﬁ"}
    span = batch.word_to_chars(1)
    assert span is not None
    assert words[1][span.start : span.end] == "high"


@given(text=ANY_TEXT)
@example("\u0301")
@example("▁ a ▁▁")
@example("\u0001 \u0001")
@settings(max_examples=400, deadline=None)
def test_any_text_is_cut_as_sentencepiece_does_with_spans_in_order(
    tokenizer: XLMRobertaXLTokenizer, processor: spm.SentencePieceProcessor, text: str
) -> None:
    ragged = tokenizer.encode_batch([text], max_length=None, add_special_tokens=False, return_offsets=True)
    assert ragged.input_ids.tolist() == [i + 1 if i else 3 for i in processor.encode(text)]

    assert ragged.begins is not None
    assert ragged.ends is not None
    begins, ends = ragged.begins.tolist(), ragged.ends.tolist()
    assert begins == sorted(begins)
    assert ends == sorted(ends)
    covered = set()
    for begin, end in zip(begins, ends, strict=True):
        assert 0 <= begin < end <= len(text)
        covered.update(range(begin, end))
    for position, char in enumerate(text):
        if position not in covered:
            assert processor.normalize(char) == "", "only blanks and dropped characters are left out"
    for end in ends:
        assert processor.normalize(text[end - 1]) != "", "no span ends with a blank"


@given(texts=st.lists(ANY_TEXT, max_size=4), with_pairs=st.booleans(), max_length=st.integers(4, 30))
@settings(max_examples=200, deadline=None)
def test_encode_batch_and_the_call_agree_on_any_text(
    tokenizer: XLMRobertaXLTokenizer, texts: list[str], with_pairs: bool, max_length: int
) -> None:
    texts = [re.sub("<(?=s>|/s>|pad>|unk>|mask>)", "", text) for text in texts]
    pairs = texts[::-1] if with_pairs else None
    ragged = tokenizer.encode_batch(texts, pairs, max_length=max_length, return_offsets=True)
    batch = tokenizer(texts, pairs, truncation=True, max_length=max_length, return_offsets_mapping=True)
    assert ragged.input_ids.tolist() == [i for row in batch["input_ids"] for i in row]
    assert ragged.lengths.tolist() == [len(row) for row in batch["input_ids"]]
    assert ragged.begins is not None
    assert ragged.ends is not None
    spans = zip(ragged.begins.tolist(), ragged.ends.tolist(), strict=True)
    assert list(spans) == [span for row in batch["offset_mapping"] for span in row]


@given(parts=st.lists(ANY_TEXT | st.sampled_from(["<mask>", "<s>", "</s>", "<pad>", "<unk>"])))
@settings(max_examples=200, deadline=None)
def test_parsed_special_tokens_are_where_the_text_has_them(
    tokenizer: XLMRobertaXLTokenizer, parts: list[str]
) -> None:
    text = "".join(parts)
    batch = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = batch.offset_mapping
    found = [
        (token, span)
        for token, span in zip(batch.tokens(), spans, strict=True)
        if token in tokenizer.all_special_tokens
    ]
    written = re.finditer("|".join(tokenizer.all_special_tokens), text)
    assert found == [(match.group(), match.span()) for match in written]
    assert spans == sorted(spans)
    assert batch.input_ids == tokenizer.convert_tokens_to_ids(batch.tokens())
    assert batch.tokens() == tokenizer.tokenize(text)

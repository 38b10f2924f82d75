"""The tokenizer's call and its vocabulary, on a tiny sentencepiece model."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece as spm

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

VOCAB_SIZE = 600


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer"), VOCAB_SIZE)


@pytest.fixture(scope="module")
def tokenizer(vocab_file: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(vocab_file)


@pytest.fixture(scope="module")
def processor(vocab_file: Path) -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_file=str(vocab_file))


def test_tiny_vocabulary_is_deterministic(vocab_file: Path, tmp_path: Path) -> None:
    again = write_tiny_sentencepiece(tmp_path, VOCAB_SIZE)
    assert again.name == "sentencepiece.bpe.model"
    assert again.read_bytes() == vocab_file.read_bytes()


def test_ids_are_those_of_fairseq(tokenizer: XLMRobertaXLTokenizer, processor: spm.SentencePieceProcessor) -> None:
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.convert_tokens_to_ids("<mask>") == VOCAB_SIZE + 1 == tokenizer.mask_token_id
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.get_vocab()) == VOCAB_SIZE + 2
    for piece_id in range(3, VOCAB_SIZE):
        piece = processor.id_to_piece(piece_id)
        assert tokenizer.convert_tokens_to_ids(piece) == piece_id + 1
        assert tokenizer.convert_ids_to_tokens(piece_id + 1) == piece
    assert tokenizer.convert_tokens_to_ids("no such token") == tokenizer.unk_token_id == 3


def test_text_and_pair_stand_between_special_tokens(
    tokenizer: XLMRobertaXLTokenizer, processor: spm.SentencePieceProcessor
) -> None:
    first = [i + 1 for i in processor.encode(SENTENCES[0])]
    second = [i + 1 for i in processor.encode(SENTENCES[17])]
    assert tokenizer.encode(SENTENCES[0]) == [0, *first, 2]
    assert tokenizer.encode(SENTENCES[0], SENTENCES[17]) == [0, *first, 2, 2, *second, 2]
    assert tokenizer.encode(SENTENCES[0], add_special_tokens=False) == first
    assert tokenizer.encode("") == [0, 2]
    assert tokenizer.encode("", "") == [0, 2, 2, 2]


def test_every_form_of_input_gives_the_same_rows(tokenizer: XLMRobertaXLTokenizer) -> None:
    a, b, c, d = SENTENCES[:4]
    pairs = [tokenizer(a, b)["input_ids"], tokenizer(c, d)["input_ids"]]
    assert tokenizer([a, c])["input_ids"] == [tokenizer.encode(a), tokenizer.encode(c)]
    assert tokenizer([a, c], [b, d])["input_ids"] == pairs
    assert tokenizer([(a, b), (c, d)])["input_ids"] == pairs
    assert tokenizer(((a, b), [c, d]))["input_ids"] == pairs
    assert tokenizer([])["input_ids"] == []

    words = [a.split(), b.split(), c.split(), d.split()]
    split: dict[str, Any] = {"is_split_into_words": True}
    assert tokenizer(words[0], words[1], **split)["input_ids"] == pairs[0]
    assert tokenizer(words[::2], words[1::2], **split)["input_ids"] == pairs
    assert tokenizer([(words[0], words[1]), (words[2], words[3])], **split)["input_ids"] == pairs
    assert tokenizer(words[0], **split)["input_ids"] == tokenizer.encode(a)
    assert tokenizer([[], words[0]], **split)["input_ids"] == [[0, 2], tokenizer.encode(a)]
    assert tokenizer([], **split)["input_ids"] == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a", "b"], ["c"]), {}, "text_pair: expected 2, one for each text, found 1"),
        ((["a", "b"], "cd"), {}, "text_pair: expected 2, one for each text, found a single string"),
        (("a", ["b"]), {}, "text_pair: expected a string or a batch of such"),
        (("a",), {"is_split_into_words": True}, "text: expected a list of words"),
        (([["a", "b", "c"]],), {}, "text: expected a string or a batch of such, found lists"),
        (("a",), {"padding": "longer"}, "padding: found 'longer', expected a boolean or one of"),
        (("a",), {"truncation": "last"}, "truncation: found 'last', expected a boolean or one of"),
        (("a",), {"truncation": True, "max_length": 1}, "max_length: found 1, expected at least the 2"),
        (("a", "b"), {"truncation": True, "max_length": 3}, "found 3, expected at least the 4"),
        (
            ("the river",),
            {"truncation": True, "max_length": 4, "stride": 2},
            "stride: found 2, expected 0 to 1",
        ),
        (("the river",), {"truncation": "only_second", "max_length": 4}, "needs a text_pair"),
        (
            ("the", "river was high"),
            {"truncation": "only_first", "max_length": 6},
            "only_first has to take",
        ),
        (
            (["a", "river"],),
            {"return_tensors": "np"},
            "input_ids: the rows differ in length and make no tensor; use padding=True",
        ),
        (("a",), {"return_tensors": "tf"}, "return_tensors: found 'tf', expected 'pt' or 'np'"),
        (
            ("a",),
            {"truncation": True, "padding": True, "max_length": 10, "pad_to_multiple_of": 8},
            "pad_to_multiple_of: found 8, which does not divide max_length 10",
        ),
        (("a", "b\udc80"), {}, "text 1 holds a lone surrogate at character 1"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    tokenizer: XLMRobertaXLTokenizer,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tokenizer(*arguments, **options)


def test_no_text_at_all_is_refused(tokenizer: XLMRobertaXLTokenizer) -> None:
    with pytest.raises(ValueError, match="text: found None, expected a text, or else a text_target"):
        tokenizer(None)


@pytest.mark.parametrize("text", [7, b"bytes"])
def test_what_is_no_text_is_refused(tokenizer: XLMRobertaXLTokenizer, text: Any) -> None:
    with pytest.raises(TypeError, match="text 0 is of type"):
        tokenizer(text)
    with pytest.raises(TypeError, match="text 1 is of type"):
        tokenizer.encode_batch(["a", text])


def test_special_tokens_in_a_text_are_parsed(tokenizer: XLMRobertaXLTokenizer) -> None:
    mask = tokenizer.mask_token_id
    river, high = tokenizer.encode("The river", add_special_tokens=False), tokenizer.encode("high")[1:-1]
    for blanks in ("", " ", "  ", "\u3000\n"):
        assert tokenizer.encode(f"The river{blanks}<mask>high") == [0, *river, mask, *high, 2]
    assert tokenizer.encode("<s></s> <unk><pad><mask>") == [0, 0, 2, 3, 1, mask, 2]
    assert tokenizer.tokenize("high <mask>") == [*tokenizer.tokenize("high"), "<mask>"]
    assert mask not in tokenizer.encode("<mask ><MASK><mas k>")


def test_spans_and_words_of_parsed_special_tokens(tokenizer: XLMRobertaXLTokenizer) -> None:
    text = "\U00020000 high  <mask>\U00020001 was"
    batch = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    place = batch.tokens().index("<mask>")
    assert batch.offset_mapping[place] == (8, 14)
    assert text[slice(*batch.offset_mapping[place])] == "<mask>"
    assert batch.special_tokens_mask == [1, *[0] * (len(batch.input_ids) - 2), 1]
    words: dict[int | None, str] = {}
    for token, word in zip(batch.tokens(), batch.word_ids(), strict=True):
        words[word] = words.get(word, "") + token
    words.pop(None)
    assert words == {0: "▁\U00020000", 1: "▁high", 2: "<mask>", 3: "▁\U00020001", 4: "▁was"}


def test_none_truncates_only_where_a_length_is_given_and_nothing_is_padded(
    tokenizer: XLMRobertaXLTokenizer,
) -> None:
    whole = tokenizer.encode(SENTENCES[0])
    assert tokenizer.encode(SENTENCES[0], max_length=6) == [*whole[:5], 2]
    assert tokenizer.encode(SENTENCES[0], max_length=6, truncation=False) == whole
    assert tokenizer.encode(SENTENCES[0], max_length=6, padding=True) == whole
    long_text = " ".join(SENTENCES)
    assert len(tokenizer.encode(long_text)) > 512
    assert len(tokenizer.encode(long_text, truncation=True)) == tokenizer.model_max_length == 512


def test_overflow_windows_cover_the_text(tokenizer: XLMRobertaXLTokenizer) -> None:
    options: dict[str, Any] = {"truncation": True, "max_length": 10, "stride": 3}
    batch = tokenizer([SENTENCES[0], "high"], return_overflowing_tokens=True, **options)
    assert set(batch.overflow_to_sample_mapping) == {0, 1}
    windows = [
        row[1:-1]
        for row, sample in zip(batch.input_ids, batch.overflow_to_sample_mapping, strict=True)
        if sample == 0
    ]
    joined = windows[0] + [i for window in windows[1:] for i in window[3:]]
    assert joined == tokenizer.encode(SENTENCES[0])[1:-1]
    kept = tokenizer([SENTENCES[0], "high"], **options)
    assert kept["input_ids"] == [batch.input_ids[0], batch.input_ids[-1]]
    single = tokenizer(SENTENCES[0], return_overflowing_tokens=True, **options)
    assert single.input_ids == batch.input_ids[:-1]


def test_decoding_restores_normalised_text(
    tokenizer: XLMRobertaXLTokenizer, processor: spm.SentencePieceProcessor
) -> None:
    rows = tokenizer(list(SENTENCES), padding=True)["input_ids"]
    decoded = tokenizer.batch_decode(rows, skip_special_tokens=True)
    assert decoded == [processor.normalize(text).replace("▁", " ").strip() for text in SENTENCES]
    assert decoded[0] == SENTENCES[0]
    assert tokenizer.decode(rows[0]).startswith(f"<s> {SENTENCES[0]}</s><pad>")
    assert tokenizer.decode([]) == ""
    words = ["a", "b", ",", "it", "'", "s"]
    spaced = tokenizer.encode(words, is_split_into_words=True, add_special_tokens=False)
    assert tokenizer.decode(spaced) == "a b , it ' s"
    assert tokenizer.decode(spaced, clean_up_tokenization_spaces=True) == "a b, it's"


@pytest.mark.parametrize("token_id", [-1, VOCAB_SIZE + 2])
def test_ids_outside_the_vocabulary_are_refused(tokenizer: XLMRobertaXLTokenizer, token_id: int) -> None:
    with pytest.raises(ValueError, match=rf"token id {token_id} is outside the vocabulary \[0, 602\)"):
        tokenizer.decode([0, token_id])
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokenizer.convert_ids_to_tokens(token_id)


def test_unknown_pieces_show_in_tokens_and_not_in_ids(tokenizer: XLMRobertaXLTokenizer) -> None:
    batch = tokenizer(["high", "a \U00020000\U00020001 b \U00020002"])
    unknown = [
        token
        for token, token_id in zip(batch.tokens(1), batch["input_ids"][1], strict=True)
        if token_id == tokenizer.unk_token_id
    ]
    assert unknown == ["\U00020000\U00020001", "\U00020002"]
    assert batch.tokens(1)[1:-1] == tokenizer.tokenize("a \U00020000\U00020001 b \U00020002")
    assert tokenizer.decode(batch["input_ids"][1]).count("<unk>") == 2


def test_a_pickled_tokenizer_is_the_same(tokenizer: XLMRobertaXLTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy(list(SENTENCES), truncation=True).data == tokenizer(list(SENTENCES), truncation=True).data
    assert np.array_equal(copy.encode_batch(SENTENCES).input_ids, tokenizer.encode_batch(SENTENCES).input_ids)
    assert repr(copy) == "XLMRobertaXLTokenizer(vocab_size=602, model_max_length=512)"

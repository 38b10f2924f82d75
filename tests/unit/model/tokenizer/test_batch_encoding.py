"""What the tokenizer's call returns, and its padding."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from model.tokenizer.batch_encoding import BatchEncoding
from model.tokenizer.encoding import CharSpan, TokenSpan
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

TEXTS = list(SENTENCES[:3])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


def takes_inputs(**inputs: Any) -> list[str]:
    return sorted(inputs)


def test_inputs_are_items_attributes_and_keywords(tokenizer: XLMRobertaXLTokenizer) -> None:
    batch = tokenizer(TEXTS)
    assert list(batch) == ["input_ids", "attention_mask"]
    assert batch.input_ids is batch["input_ids"]
    assert batch[1].ids == batch["input_ids"][1]
    assert takes_inputs(**batch) == ["attention_mask", "input_ids"]
    with pytest.raises(AttributeError, match="no 'labels' here, there are input_ids, attention_mask"):
        _ = batch.labels
    with pytest.raises(KeyError):
        _ = batch["labels"]
    for again in (copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert again.data == batch.data
        assert again.encodings == batch.encodings


def test_every_wanted_input_is_returned_in_order(tokenizer: XLMRobertaXLTokenizer) -> None:
    batch = tokenizer(
        TEXTS,
        return_token_type_ids=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
        return_length=True,
        return_overflowing_tokens=True,
    )
    assert list(batch) == [
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "special_tokens_mask",
        "offset_mapping",
        "length",
        "overflow_to_sample_mapping",
    ]
    for row, length in enumerate(batch.length):
        assert len(batch.input_ids[row]) == length
        assert batch.token_type_ids[row] == [0] * length
        assert batch.attention_mask[row] == [1] * length
        assert batch.special_tokens_mask[row] == [1, *[0] * (length - 2), 1]
    assert batch.overflow_to_sample_mapping == [0, 1, 2]
    assert list(tokenizer("a", return_attention_mask=False)) == ["input_ids"]


def test_tensors_move_and_keep_their_type(tokenizer: XLMRobertaXLTokenizer) -> None:
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt", return_offsets_mapping=True)
    length = max(len(row) for row in tokenizer(TEXTS)["input_ids"])
    assert batch.input_ids.shape == (3, length)
    assert batch.offset_mapping.shape == (3, length, 2)
    assert {value.dtype for value in batch.values()} == {torch.int64}
    assert batch.to("meta") is batch
    assert {value.device.type for value in batch.values()} == {"meta"}
    assert tokenizer("a", return_tensors="np").input_ids.shape == (1, 3)
    lists = tokenizer(TEXTS)
    assert lists.to("meta").input_ids == tokenizer(TEXTS)["input_ids"]


def test_maps_between_characters_words_and_tokens(tokenizer: XLMRobertaXLTokenizer) -> None:
    text, pair = "high  rivers", "a road"
    batch = tokenizer([text, "b"], [pair, "c"], padding=True)
    assert batch.tokens(1)[:6] == ["<s>", "▁b", "</s>", "</s>", "▁c", "</s>"]
    assert batch.sequence_ids(1)[:6] == [None, 0, None, None, 1, None]
    assert batch.char_to_token(0, 4) is None
    assert batch.char_to_word(0, 5) is None
    assert batch.char_to_word(0, 6) == 1
    tokens = batch.word_to_tokens(0, 1)
    assert isinstance(tokens, TokenSpan)
    assert "".join(batch.tokens(0)[tokens.start : tokens.end]) == "▁rivers"
    assert batch.word_to_chars(0, 1) == CharSpan(6, 12)
    assert batch.word_to_chars(0, 1, 1) == CharSpan(2, 6)
    first = batch.char_to_token(0, 2, 1)
    assert first is not None
    assert batch.token_to_sequence(0, first) == 1
    assert batch.token_to_word(0, first) == 1
    assert batch.token_to_chars(0, 0) is None
    assert batch.tokens(0)[first : first + 2] == ["▁", "r"]
    assert batch.token_to_chars(0, first) == batch.token_to_chars(0, first + 1) == CharSpan(2, 3)
    assert batch.word_to_tokens(0, 5) is None
    assert batch.word_to_chars(0, 5) is None
    bare = tokenizer("high rivers", add_special_tokens=False)
    assert bare.word_to_tokens(1) == TokenSpan(2, len(bare.input_ids))
    assert batch.char_to_token(6) == batch.char_to_token(0, 6)


def test_padding_is_known_to_every_map(tokenizer: XLMRobertaXLTokenizer) -> None:
    for side, place in (("right", -1), ("left", 0)):
        tokenizer.padding_side = side
        batch = tokenizer(
            ["b", TEXTS[0]], padding=True, return_special_tokens_mask=True, return_offsets_mapping=True
        )
        assert batch.tokens(0)[place] == "<pad>"
        assert batch.input_ids[0][place] == 1
        assert batch.attention_mask[0][place] == 0
        assert batch.special_tokens_mask[0][place] == 1
        assert batch.offset_mapping[0][place] == (0, 0)
        assert batch.word_ids(0)[place] is batch.sequence_ids(0)[place] is None
        assert sum(batch.attention_mask[0]) == 3
    tokenizer.padding_side = "right"


def test_pad_leaves_unknown_inputs_alone(tokenizer: XLMRobertaXLTokenizer) -> None:
    rows = [{"input_ids": [0, 5, 2], "labels": 1}, {"input_ids": np.array([0, 2]), "labels": 0}]
    batch = tokenizer.pad(rows, return_tensors="pt")
    assert batch.input_ids.tolist() == [[0, 5, 2], [0, 2, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.labels.tolist() == [1, 0]
    scores = tokenizer.pad([{"input_ids": [0], "labels": 0.5}], return_tensors="pt").labels
    assert scores.dtype == torch.float32
    assert scores.tolist() == [0.5]
    tensors = tokenizer.pad({"input_ids": torch.tensor([[0, 2]])}, padding="max_length", max_length=4)
    assert torch.equal(tensors.input_ids, torch.tensor([[0, 2, 1, 1]]))
    assert isinstance(tokenizer.pad({"input_ids": np.array([[0, 2]])}).input_ids, np.ndarray)
    assert tokenizer.pad({"input_ids": np.array([[0, 2]])}, return_tensors="pt").input_ids.dtype == torch.int64
    assert tokenizer.pad(rows[:1], return_attention_mask=False).data == {
        "input_ids": [[0, 5, 2]],
        "labels": [1],
    }
    with pytest.raises(ValueError, match=r"expected input_ids among the inputs, found \['labels'\]"):
        tokenizer.pad([{"labels": 1}])
    with pytest.raises(ValueError, match="known only to what the tokenizer's call returns"):
        batch.word_ids()


def test_values_that_are_no_numbers_make_no_tensor() -> None:
    with pytest.raises(ValueError, match="id: holds values that are no numbers"):
        BatchEncoding({"id": ["a"]}).convert_to_tensors("np")

"""Guesses and generated tokens to columns; losses are in `test_decoding`, where their rows are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import XLMRobertaTokenizer

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.tasks.language_modeling import fill_mask_column, generation_column, loss_column
from tests.tiny_tokenizer import SENTENCES, VOCAB_FILE_NAME, write_tiny_sentencepiece


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")).parent


@pytest.fixture(scope="module")
def tokenizer(directory: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(directory / VOCAB_FILE_NAME)


@pytest.fixture(scope="module")
def theirs(directory: Path) -> Any:
    return XLMRobertaTokenizer(str(directory / VOCAB_FILE_NAME))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 4))
def test_each_mask_of_a_row_has_its_guesses_as_transformers_would_write_them(
    tokenizer: XLMRobertaXLTokenizer, theirs: Any, num_masks: list[int], k: int
) -> None:
    rng = np.random.default_rng(sum(num_masks))
    token_ids = rng.integers(0, tokenizer.vocab_size, (sum(num_masks), k))
    probabilities = np.sort(rng.random((sum(num_masks), k)), axis=1)[:, ::-1]
    offsets = np.cumsum([0, *num_masks])
    column = fill_mask_column(token_ids, np.log(probabilities).astype(np.float32), offsets, tokenizer)
    column.validate(full=True)
    assert column.value_lengths().to_pylist() == num_masks
    masks = [mask for row in column.to_pylist() for mask in row]
    for mask, ids, scores in zip(masks, token_ids.tolist(), probabilities.tolist(), strict=True):
        assert [guess["token_id"] for guess in mask] == ids
        assert [guess["token"] for guess in mask] == [theirs.decode([i]) for i in ids]
        assert [guess["score"] for guess in mask] == pytest.approx(scores, rel=1e-5)


def test_generated_text_ends_where_its_tokens_do(tokenizer: XLMRobertaXLTokenizer) -> None:
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in SENTENCES[:3]]
    width = max(map(len, ids)) + 2
    padded = np.array([[*row, 2, *[1] * (width - len(row) - 1)] for row in ids])
    counts = np.array([len(ids[0]), len(ids[1]), 0])
    column = generation_column(padded, counts, tokenizer)
    assert column.to_pylist() == [
        {"text": tokenizer.decode(row[:count]), "num_tokens": count}
        for row, count in zip(ids, counts.tolist(), strict=True)
    ]
    assert column[2].as_py()["text"] == ""


def test_special_tokens_among_the_generated_count_and_do_not_show(tokenizer: XLMRobertaXLTokenizer) -> None:
    word = tokenizer.encode(SENTENCES[0], add_special_tokens=False)[:3]
    ids = np.array([[word[0], 0, tokenizer.mask_token_id, *word[1:]]])
    [value] = generation_column(ids, np.array([6]), tokenizer).to_pylist()
    assert value == {"text": tokenizer.decode(word), "num_tokens": 6}


def test_losses_are_of_the_rows_that_have_tokens() -> None:
    column, rows = loss_column(np.array([1, 2, 4], dtype=np.float32), np.array([1, 1, 3]))
    assert rows.tolist() == [1, 3]
    assert column.to_pylist() == [
        {"loss": 1.5, "nll": 3.0, "num_tokens": 2},
        {"loss": 4.0, "nll": 4.0, "num_tokens": 1},
    ]

"""Guesses for masks, as a column and as options."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import XLMRobertaTokenizer

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.tasks.fill_mask import FillMaskHead, fill_mask_column
from tests.tiny_tokenizer import VOCAB_FILE_NAME, write_tiny_sentencepiece


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


def test_a_mask_has_one_guess_or_more() -> None:
    assert FillMaskHead(task="fill-mask", text="a").top_k == 5
    with pytest.raises(ValidationError):
        FillMaskHead(task="fill-mask", top_k=0)

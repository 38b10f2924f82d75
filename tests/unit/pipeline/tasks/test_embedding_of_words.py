"""Vectors of words, of pairs, and divided by a scale, against the padded forward."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
from pipeline.encoding.tokenizing import tokenize_words
from pipeline.tasks.embedding import TASK, EmbeddingHead
from tests.pipeline_in_process import annotate_in_process
from tests.tiny_tokenizer import SENTENCES, VOCAB_FILE_NAME
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

WORDS: list[list[str] | None] = [*(text.split() for text in SENTENCES[:6]), ["one", "", "two"], None]


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("trunk"), heads=frozenset(), seed=7)


def states_of(trunk: Path, ids: list[int]) -> torch.Tensor:
    model = XLMRobertaXLModel.from_pretrained(trunk, add_pooling_layer=False).eval()
    with torch.inference_mode():
        return model(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]


def annotated(trunk: Path, directory: Path, table: pa.Table, **options: Any) -> pa.Table:
    head = {"task": "embedding", "normalize": False, "layer": 1, "weights": str(trunk), **options}
    output, _ = annotate_in_process(directory, table, {"vector": head}, trunk, dtype="float32")
    return output


@pytest.mark.parametrize("options", [{}, {"window": 16, "stride": 0}])
def test_a_word_has_the_state_of_its_first_token(options: dict[str, int], trunk: Path, tmp_path: Path) -> None:
    """Also where windows begin within words, of whose states only the number can be told here."""
    output = annotated(trunk, tmp_path, pa.table({"words": WORDS}), words="words", **options)
    found = output.column("vector").to_pylist()
    tokenizer = XLMRobertaXLTokenizer(trunk / VOCAB_FILE_NAME)
    for words, vectors in zip(WORDS, found, strict=True):
        if words is None:
            assert vectors is None
            continue
        assert [vector is None for vector in vectors] == [not word for word in words]
        tokens = tokenize_words([words], tokenizer)
        ids = [tokenizer.bos_token_id, *tokens.ids.values.tolist(), tokenizer.eos_token_id]
        if options and len(ids) > options["window"]:
            continue
        first = 1 + np.unique(tokens.begins.values, return_index=True)[1]
        expected = states_of(trunk, ids)[first.tolist()].numpy()
        np.testing.assert_allclose([v for v in vectors if v is not None], expected, rtol=1e-4, atol=1e-5)


def test_a_pair_has_one_vector(trunk: Path, tmp_path: Path) -> None:
    table = pa.table({"text": list(SENTENCES[:4]), "other": list(SENTENCES[4:8])})
    output = annotated(trunk, tmp_path, table, text_pair="other")
    tokenizer = XLMRobertaXLTokenizer(trunk / VOCAB_FILE_NAME)
    for row in output.to_pylist():
        ids = tokenizer(row["text"], row["other"]).input_ids
        expected = states_of(trunk, ids).mean(dim=0).numpy()
        np.testing.assert_allclose(row["vector"], expected, rtol=1e-4, atol=1e-5)


def test_float16_is_of_the_scaled_vector(trunk: Path, tmp_path: Path) -> None:
    scale = np.ldexp(1.0, np.arange(32) - 16).tolist()
    table = pa.table({"text": list(SENTENCES[:4])})
    for name in ("exact", "scaled"):
        (tmp_path / name).mkdir()
    exact = annotated(trunk, tmp_path / "exact", table).column("vector").to_pylist()
    found = annotated(trunk, tmp_path / "scaled", table, scale=scale, dtype="float16").column("vector")
    assert found.type == pa.list_(pa.float16(), 32)
    np.testing.assert_array_equal(found.to_pylist(), (np.float32(exact) / np.float32(scale)).astype(np.float16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "w", "text": "t"}, 'text: found "t" and words = "w"'),
        ({"words": "w", "pooling": "cls"}, "pooling: found"),
        ({"words": "w", "level": "token"}, "level: found"),
        ({"words": "w", "text_pair": "t"}, "text_pair: found"),
        ({"level": "token", "text_pair": "t"}, "text_pair: found"),
        ({"joined": "translation"}, "text_pair: found none, expected the source for joined"),
        ({"joined": "translation", "text_pair": "t", "stride": 0}, "stride: found 0 and joined"),
        ({"joined": "translation", "text_pair": "t", "window": 64}, "window: found 64 and joined"),
        ({"joined": "translation", "text_pair": "t", "truncate": False}, "truncate: found false and joined"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EmbeddingHead(task="embedding", **options)


def test_a_scale_has_a_number_for_each_dimension() -> None:
    head = EmbeddingHead(task="embedding", text="text", scale=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"^scale: found 2 numbers, expected one for each of the model's 32"):
        TASK.output_type(head, XLMRobertaXLConfig(hidden_size=32, num_attention_heads=4))

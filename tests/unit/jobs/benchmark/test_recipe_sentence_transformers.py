from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jobs.benchmark.recipe_sentence_transformers import main
from jobs.benchmark.whole_job import write_random_model
from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece


def test_the_recipe_gives_the_vectors_that_the_model_gives(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    write_tiny_sentencepiece(tmp_path)
    config = XLMRobertaXLConfig(
        vocab_size=610, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    directory = write_random_model(tmp_path / "model", config, tmp_path, torch.float32)
    texts = ["a b", "longer text than the first", "c"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    main(str(directory), str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), "float32", "cpu")
    model = XLMRobertaXLModel.from_pretrained(directory, add_pooling_layer=False).eval()
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(directory)
    with torch.inference_mode():
        expected = [
            model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0].mean(dim=0) for text in texts
        ]
    vectors = torch.tensor(pq.read_table(tmp_path / "out.parquet")["vector"].to_pylist())
    torch.testing.assert_close(vectors, torch.stack(expected), rtol=1e-4, atol=1e-5)

"""Another usual recipe, for comparison: sentence-transformers, which sorts the texts by length and pads batches.

`python -m pipeline.speed.sentence_recipe MODEL INPUT OUTPUT DTYPE DEVICE`: `SentenceTransformer.encode` on the
column `text` of a Parquet file, batches of 32, mean pooling. See "Computing Embeddings" in its documentation.
"""

import importlib
import sys
import tempfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

BATCH_SIZE = 32
MAX_LENGTH = 512


def load(model: str, dtype: str, device: str) -> Any:
    """The checkpoint as a `SentenceTransformer`."""
    sentence_transformers = importlib.import_module("sentence_transformers")
    transformers = importlib.import_module("transformers")
    with tempfile.TemporaryDirectory() as folder:
        # It asks for the files of a fast tokenizer.
        transformers.XLMRobertaTokenizerFast(f"{model}/sentencepiece.bpe.model").save_pretrained(folder)
        words = sentence_transformers.models.Transformer(
            model,
            max_seq_length=MAX_LENGTH,
            model_args={"torch_dtype": getattr(torch, dtype), "add_pooling_layer": False},
            tokenizer_name_or_path=folder,
        )
    pooling = sentence_transformers.models.Pooling(words.get_word_embedding_dimension(), "mean")
    return sentence_transformers.SentenceTransformer(modules=[words, pooling], device=device)


def main(model: str, file: str, output: str, dtype: str, device: str) -> None:
    """Read, embed, write."""
    texts = pq.read_table(file, columns=["text"])["text"].to_pylist()
    vectors = load(model, dtype, device).encode(texts, batch_size=BATCH_SIZE)
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    pq.write_table(pa.table({"vector": column}), output)


if __name__ == "__main__":
    main(*sys.argv[1:])

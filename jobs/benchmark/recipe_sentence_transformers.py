"""Another common recipe, for comparison: sentence-transformers, which sorts texts by length and pads batches.

`python -m jobs.benchmark.recipe_sentence_transformers MODEL INPUT OUTPUT DTYPE DEVICE`:
`SentenceTransformer.encode` on the column `text` of a Parquet file, batches of 32, mean pooling. See "Computing
Embeddings" in its documentation.
"""

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

BATCH_SIZE = 32
MAX_LENGTH = 512


def load(model: str, dtype: str, device: str) -> Any:
    """The checkpoint as a `SentenceTransformer`, which takes the mean of the tokens by default."""
    sentence_transformers = importlib.import_module("sentence_transformers")
    transformers = importlib.import_module("transformers")
    with tempfile.TemporaryDirectory() as folder:
        # It requires the files of a fast tokenizer.
        transformers.XLMRobertaTokenizerFast.from_pretrained(model).save_pretrained(folder)
        for name in ("config.json", "model.safetensors"):
            (Path(folder) / name).symlink_to(Path(model).resolve() / name)
        loaded = sentence_transformers.SentenceTransformer(
            folder, device=device, model_kwargs={"torch_dtype": getattr(torch, dtype), "add_pooling_layer": False}
        )
    loaded.max_seq_length = MAX_LENGTH
    return loaded


def main(model: str, file: str, output: str, dtype: str, device: str) -> None:
    """Read, embed, write."""
    texts = pq.read_table(file, columns=["text"])["text"].to_pylist()
    vectors = load(model, dtype, device).encode(texts, batch_size=BATCH_SIZE)
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    pq.write_table(pa.table({"vector": column}), output)


if __name__ == "__main__":
    main(*sys.argv[1:])

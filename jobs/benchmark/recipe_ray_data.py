"""A common recipe, for comparison: Ray Data and Transformers, combined as in their documentation.

`python -m jobs.benchmark.recipe_ray_data MODEL INPUT OUTPUT DTYPE DEVICE`: batches of 32 rows in the order of
arrival, padded, mean pooling. See "Batch inference" in the documentation of Ray Data.
"""

import importlib
import os
import sys
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray

BATCH_SIZE = 32


class Embedder:
    """The actor of `map_batches`."""

    def __init__(self, model: str, dtype: str, device: str) -> None:
        transformers = importlib.import_module("transformers")
        self.device = device
        self.tokenizer = transformers.XLMRobertaTokenizerFast.from_pretrained(model)
        loaded = transformers.XLMRobertaXLModel.from_pretrained(
            model, torch_dtype=getattr(torch, dtype), add_pooling_layer=False
        )
        self.model: Any = loaded.to(device).eval()

    @torch.inference_mode()
    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Texts to vectors."""
        texts = list(batch["text"])
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="pt")
        inputs = inputs.to(self.device)
        hidden = self.model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"][..., None]
        vectors = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return {"vector": vectors.cpu().numpy().astype(np.float32)}


def main(model: str, file: str, output: str, dtype: str, device: str) -> None:
    """Read, embed, write."""
    ray.init(include_dashboard=False, log_to_driver=False)
    cores = os.cpu_count() or 1
    (
        ray.data.read_parquet(file)
        .map_batches(
            Embedder,
            fn_constructor_args=(model, dtype, device),
            batch_size=BATCH_SIZE,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=max(1, cores - 1) if device == "cpu" else 1,
            num_gpus=int(device == "cuda"),
        )
        .write_parquet(output)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

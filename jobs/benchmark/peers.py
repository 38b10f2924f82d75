"""Baseline for comparison: Transformers on padded batches, if it is installed (extra `bench`).

It is imported by name at run time, since the package itself does not depend on it.
"""

import importlib
import importlib.util
from functools import partial
from typing import Any

import torch

from jobs.benchmark.flops import trunk_flops
from jobs.benchmark.timing import Case
from model import XLMRobertaXLConfig

PEER_BATCH_SIZE = 32


def peer_cases(
    config: XLMRobertaXLConfig, lengths: dict[str, list[int]], dtype: torch.dtype, device: str
) -> list[Case]:
    """The trunk of Transformers on batches of 32 sequences, in the order of arrival and sorted by length.

    Without tokenization and data loading, these are upper bounds of the speed of a recipe with this model.
    """
    if importlib.util.find_spec("transformers") is None:
        return []
    transformers = importlib.import_module("transformers")
    torch.manual_seed(0)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    peer_config = transformers.XLMRobertaXLConfig(**{name: getattr(config, name) for name in names})
    with torch.device(device):
        build = transformers.AutoModel.from_config
        trunk = build(peer_config, torch_dtype=dtype, add_pooling_layer=False).eval()
    cases = []
    for scenario, drawn in lengths.items():
        for order, sequences in (("as they come", drawn), ("sorted", sorted(drawn, reverse=True))):
            cases.append(
                Case(
                    f"{scenario}: transformers {transformers.__version__}, {order}",
                    partial(_run, trunk, sequences, device),
                    sum(drawn),
                    trunk_flops(config, drawn),
                    "peer",
                    f"{scenario}: trunk",
                )
            )
    return cases


@torch.inference_mode()
def _run(trunk: Any, lengths: list[int], device: str) -> None:
    for begin in range(0, len(lengths), PEER_BATCH_SIZE):
        chunk = torch.tensor(lengths[begin : begin + PEER_BATCH_SIZE])
        mask = torch.arange(int(chunk.max())) < chunk[:, None]
        ids = torch.randint(4, trunk.config.vocab_size, mask.shape).masked_fill(~mask, 1)
        trunk(input_ids=ids.to(device), attention_mask=mask.long().to(device))

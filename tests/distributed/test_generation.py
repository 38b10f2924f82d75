"""Generation over several ranks: every rank returns what one rank alone would."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model import ShardGroup, XLMRobertaXLConfig, XLMRobertaXLForCausalLM
from tests.checkpoints import write_random_checkpoint
from tests.distributed.processes import run_on_ranks
from tests.oracle import padded_batch

CONFIG = XLMRobertaXLConfig(
    vocab_size=123, hidden_size=56, num_hidden_layers=2, num_attention_heads=7, intermediate_size=70,
    max_position_embeddings=40, is_decoder=True,
)  # fmt: skip
WAYS: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 2},
    {"do_sample": True, "temperature": 2.0, "top_k": 30, "top_p": 0.95},
]


def _generate(group: ShardGroup, directory: Path) -> list[Tensor]:
    model = XLMRobertaXLForCausalLM.from_pretrained(directory, group=group)
    prompts, mask = padded_batch(CONFIG, [6, 3, 4])
    results = []
    for options in WAYS:
        # Rank 0's numbers count; the others may have any.
        torch.manual_seed(7 + group.rank)
        results.append(model.generate(prompts, mask, max_new_tokens=8, num_usable_tokens=100, **options))
    return results


@pytest.mark.parametrize("num_ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_every_rank_returns_what_one_rank_would(tmp_path: Path, num_ranks: int) -> None:
    write_random_checkpoint(tmp_path, CONFIG, std=0.3)
    expected = _generate(ShardGroup(), tmp_path)
    assert all((ids[:, 6:] < 100).all() for ids in expected)
    for results in run_on_ranks(num_ranks, _generate, tmp_path):
        for found, tokens in zip(results, expected, strict=True):
            assert torch.equal(found, tokens)

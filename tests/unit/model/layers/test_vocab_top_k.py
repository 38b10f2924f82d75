"""The likeliest tokens where logits are not finite: NaN in the row that has them, and all others as without it."""

import pytest
import torch
from torch import Tensor

from model import ShardGroup
from model.layers.vocab_top_k import vocab_parallel_top_k
from model.parallel.shard import Shard

VOCAB_SIZE, K = 100, 3


def top_k(hidden_ND: Tensor, weight_VD: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    group = ShardGroup()
    shard = Shard.of(group, 0, VOCAB_SIZE)
    bias = torch.zeros(VOCAB_SIZE)
    return vocab_parallel_top_k(
        hidden_ND, weight_VD, bias, group, shard, k=K, num_usable=VOCAB_SIZE, block_size=block_size
    )


@pytest.mark.parametrize("block_size", [7, 40, 100])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_rows_that_are_not_finite(bad: float, block_size: int) -> None:
    generator = torch.Generator().manual_seed(2)
    hidden, weight = torch.randn(4, 8, generator=generator), torch.randn(VOCAB_SIZE, 8, generator=generator)
    whole_ids, whole = top_k(hidden, weight, block_size)
    hidden[1] = bad
    ids, found = top_k(hidden, weight, block_size)
    assert found[1].isnan().all()
    rest = [0, 2, 3]
    assert torch.equal(ids[rest], whole_ids[rest])
    assert torch.equal(found[rest], whole[rest])
    hidden[:] = bad
    ids, found = top_k(hidden, weight, block_size)
    assert ids.shape == found.shape == (4, K)
    assert found.isnan().all()

"""Parallel layers on one rank, and the slices that they would hold on several."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from model import ShardGroup
from model.parallel.layers import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
from model.parallel.shard import Shard

# `bounds` needs no process group, and no layer talks to one while it is built.
NO_PROCESS_GROUP: torch.distributed.ProcessGroup = object()  # type: ignore[assignment]


def ranks(size: int) -> list[ShardGroup]:
    return [ShardGroup(rank, size, NO_PROCESS_GROUP) for rank in range(size)]


@given(num_units=st.integers(0, 300), size=st.integers(1, 16))
def test_bounds_cover_everything_once_and_evenly(num_units: int, size: int) -> None:
    bounds = [group.bounds(num_units) for group in ranks(size)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == num_units
    assert all(a[1] == b[0] for a, b in pairwise(bounds))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1
    assert [ranks(size)[0].bounds(num_units, rank) for rank in range(size)] == bounds


def test_a_group_is_checked() -> None:
    with pytest.raises(ValueError, match=r"rank must be in \[0, size=2\), found 2"):
        ShardGroup(2, 2, NO_PROCESS_GROUP)
    with pytest.raises(ValueError, match=r"of size 2 needs a torch\.distributed process group"):
        ShardGroup(0, 2)


def test_on_one_rank_the_layers_are_those_of_torch() -> None:
    group = ShardGroup()
    x = torch.randn(3, 6)
    for layer in (ColumnParallelLinear(6, 4, group), RowParallelLinear(6, 4, group)):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
        assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    table = VocabParallelEmbedding(10, 6, group, padding_idx=1)
    torch.nn.init.normal_(table.weight)
    ids = torch.tensor([[0, 1, 9]])
    assert torch.equal(table(ids), table.weight[ids])


def test_padding_gets_no_gradient() -> None:
    table = VocabParallelEmbedding(10, 6, ShardGroup(), padding_idx=1)
    torch.nn.init.normal_(table.weight)
    table(torch.tensor([0, 1, 1, 9])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.sum(dim=1).tolist() == [6, 0, 0, 0, 0, 0, 0, 0, 0, 6]


def test_slices_keep_units_together() -> None:
    # 5 heads of width 3 over 2 ranks: 2 and 3 heads.
    column = [ColumnParallelLinear(8, 15, group, unit_size=3) for group in ranks(2)]
    assert [layer.shards["weight"] for layer in column] == [Shard(0, 0, 6, 15, 3), Shard(0, 6, 15, 15, 3)]
    assert [tuple(layer.weight.shape) for layer in column] == [(6, 8), (9, 8)]
    assert [tuple(layer.bias.shape) for layer in column] == [(6,), (9,)]
    assert column[0].shards["bias"] == column[0].shards["weight"]
    row = [RowParallelLinear(15, 8, group, unit_size=3) for group in ranks(2)]
    assert [layer.shards["weight"] for layer in row] == [Shard(1, 0, 6, 15, 3), Shard(1, 6, 15, 15, 3)]
    assert all("bias" not in layer.shards for layer in row)
    assert [tuple(layer.weight.shape) for layer in row] == [(8, 6), (8, 9)]
    assert [tuple(layer.bias.shape) for layer in row] == [(8,), (8,)]
    table = [VocabParallelEmbedding(7, 4, group) for group in ranks(3)]
    assert [tuple(layer.weight.shape) for layer in table] == [(2, 4), (2, 4), (3, 4)]

"""Tensor parallelism: the group of ranks that share one model, and collectives with gradients.

The scheme is Megatron-LM's (Shoeybi et al. 2019, https://arxiv.org/abs/1909.08053, section 3): a column-parallel
linear layer feeds a row-parallel one, so that a transformer block needs two reductions. `copy_to_shards` and
`reduce_from_shards` are its conjugate operators f and g.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class ShardGroup:
    """The ranks that share one replica of the model. A group of size 1 needs no process group."""

    rank: int = 0
    size: int = 1
    process_group: dist.ProcessGroup | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank must be in [0, size={self.size}), found {self.rank}")
        if self.size > 1 and self.process_group is None:
            raise ValueError(f"a shard group of size {self.size} needs a torch.distributed process group")

    def bounds(self, num_units: int, rank: int | None = None) -> tuple[int, int]:
        """The half-open range of units (heads, columns, vocabulary rows) that a rank holds; balanced."""
        rank = self.rank if rank is None else rank
        return rank * num_units // self.size, (rank + 1) * num_units // self.size

    def all_reduce_(self, tensor: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
        """Reduce in place over the ranks, outside autograd. No-op for a group of size 1."""
        if self.size > 1:
            dist.all_reduce(tensor, op=op, group=self.process_group)
        return tensor

    def broadcast_(self, tensor: Tensor) -> Tensor:
        """Overwrite with the values of rank 0, outside autograd."""
        if self.size > 1:
            dist.broadcast(tensor, group=self.process_group, group_src=0)
        return tensor

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier(group=self.process_group)

    def common_seed(self) -> int:
        """A number from the CPU's default generator on rank 0, the same on all ranks."""
        seed = torch.randint(2**31, (1,), device="cpu")
        if self.size == 1:
            return int(seed)
        return int(self.broadcast_(seed.cuda() if dist.get_backend(self.process_group) == "nccl" else seed))

    def all_gather(self, tensor: Tensor, dim: int, full_size: int, unit_size: int = 1) -> Tensor:
        """Concatenate the ranks' shards along `dim`, outside autograd.

        Args:
            full_size: length of the result along `dim`; the ranks hold balanced numbers of units.
            unit_size: number of rows that are never separated.
        """
        if self.size == 1:
            return tensor
        dim = dim % tensor.dim()
        bounds = [self.bounds(full_size // unit_size, rank) for rank in range(self.size)]
        sizes = [(stop - start) * unit_size for start, stop in bounds]
        # Shards may differ by one unit, but all_gather needs equal shapes.
        shape = list(tensor.shape)
        shape[dim] = max(sizes)
        padded = tensor.new_zeros(shape)
        padded.narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
        shards = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(shards, padded, group=self.process_group)
        return torch.cat([s.narrow(dim, 0, n) for s, n in zip(shards, sizes, strict=True)], dim=dim)


class _CopyToShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ShardGroup) -> Tensor:
        ctx.group = group
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.group.all_reduce_(grads[0].contiguous().clone()), None


class _ReduceFromShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ShardGroup) -> Tensor:
        return group.all_reduce_(tensor.contiguous().clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _GatherFromShards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ShardGroup, dim: int, full_size: int) -> Tensor:
        ctx.group, ctx.dim, ctx.full_size = group, dim, full_size
        return group.all_gather(tensor, dim, full_size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        start, stop = ctx.group.bounds(ctx.full_size)
        return grads[0].narrow(ctx.dim, start, stop - start).contiguous(), None, None, None


def copy_to_shards(tensor: Tensor, group: ShardGroup) -> Tensor:
    """Identity forward, sum of the gradients of all ranks backward; for a replicated input of sharded weights."""
    if group.size == 1 or not torch.is_grad_enabled():
        return tensor
    return cast(Tensor, _CopyToShards.apply(tensor, group))  # type: ignore[no-untyped-call]


def reduce_from_shards(tensor: Tensor, group: ShardGroup) -> Tensor:
    """Sum over the ranks forward, identity backward. In place without autograd."""
    if group.size == 1:
        return tensor
    if not torch.is_grad_enabled():
        return group.all_reduce_(tensor.contiguous())
    return cast(Tensor, _ReduceFromShards.apply(tensor, group))  # type: ignore[no-untyped-call]


def gather_from_shards(tensor: Tensor, group: ShardGroup, *, dim: int, full_size: int) -> Tensor:
    """Concatenation of the ranks' shards along `dim` forward, this rank's slice of the gradient backward."""
    if group.size == 1:
        return tensor
    return cast(Tensor, _GatherFromShards.apply(tensor, group, dim, full_size))  # type: ignore[no-untyped-call]

"""Dropout with masks that depend on a seed only, so that they are the same on any number of ranks.

A forward pass in `train()` draws one number from torch's default generator (on rank 0). The seed of each mask is
derived from that number and the position of the mask in the model. So all ranks drop the same elements of
replicated tensors, each attention head has its own mask on whatever rank it is, and a layer that is recomputed for
its gradient gets the same masks again.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DropoutSeed:
    """The seed of a region of the model, from which the seeds of its masks are derived."""

    value: int

    def child(self, key: int | str) -> "DropoutSeed":
        """The seed of a region within this one."""
        digest = hashlib.blake2b(f"{self.value}/{key}".encode(), digest_size=4).digest()
        return DropoutSeed(int.from_bytes(digest, "little"))

    def mask(self, shape: torch.Size, probability: float, like: Tensor) -> Tensor:
        """0 with the given probability, else 1 / (1 - probability); dtype and device of `like`."""
        generator = torch.Generator(like.device).manual_seed(self.value)
        keep = torch.empty(shape, dtype=like.dtype, device=like.device)
        return keep.bernoulli_(1 - probability, generator=generator).div_(1 - probability)


def dropout(x: Tensor, probability: float, seed: DropoutSeed | None) -> Tensor:
    """Drop elements of a replicated tensor; without a seed, returns `x` itself."""
    if seed is None or probability == 0:
        return x
    return x * seed.mask(x.shape, probability, x)


def dropout_heads(x_BN: Tensor, probability: float, seed: DropoutSeed | None, heads: list[int]) -> Tensor:
    """Drop elements of `[batch, heads of this rank, ...]`; `heads` are their indices in the whole model."""
    if seed is None or probability == 0 or not heads:
        return x_BN
    shape = x_BN[:, 0].shape
    masks = [seed.child(head).mask(shape, probability, x_BN) for head in heads]
    return x_BN * torch.stack(masks, dim=1)

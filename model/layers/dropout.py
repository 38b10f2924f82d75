"""Dropout whose masks follow from a seed that is passed in, and from nothing else.

A forward pass in `train()` takes one number from torch's default generator (of rank 0) and derives the seed of
every mask from it and from the mask's place. Therefore the ranks of a group drop the same elements of what they
all hold, each attention head has a mask of its own wherever it lives, a layer that is recomputed for its gradient
finds the masks of the first time, and the number of ranks changes nothing.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DropoutSeed:
    """What the masks of a region of the model follow from."""

    value: int

    def child(self, key: int | str) -> "DropoutSeed":
        """The seed of a place within this region."""
        digest = hashlib.blake2b(f"{self.value}/{key}".encode(), digest_size=4).digest()
        return DropoutSeed(int.from_bytes(digest, "little"))

    def mask(self, shape: torch.Size, probability: float, like: Tensor) -> Tensor:
        """0 with the given probability, else 1 / (1 - probability); dtype and device of `like`."""
        generator = torch.Generator(like.device).manual_seed(self.value)
        keep = torch.empty(shape, dtype=like.dtype, device=like.device)
        return keep.bernoulli_(1 - probability, generator=generator).div_(1 - probability)


def dropout(x: Tensor, probability: float, seed: DropoutSeed | None) -> Tensor:
    """Drop elements of what every rank holds whole; without a seed, `x` itself."""
    if seed is None or probability == 0:
        return x
    return x * seed.mask(x.shape, probability, x)


def dropout_heads(x_BN: Tensor, probability: float, seed: DropoutSeed | None, heads: list[int]) -> Tensor:
    """Drop elements of `[batch, heads of this rank, ...]`; `heads` are their numbers in the whole model."""
    if seed is None or probability == 0 or not heads:
        return x_BN
    shape = x_BN[:, 0].shape
    masks = [seed.child(head).mask(shape, probability, x_BN) for head in heads]
    return x_BN * torch.stack(masks, dim=1)

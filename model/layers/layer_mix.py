"""The weights of a mix of layers."""

import torch
from torch import nn


class LayerMix(nn.Module):
    """The weights of `gamma * sum_i w_i h_i` (ELMo: Peters et al. 2018, https://arxiv.org/abs/1802.05365).

    Args:
        num_layers: how many layers are mixed.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_layers))
        self.gamma = nn.Parameter(torch.empty(1))

    def coefficients(self) -> tuple[float, ...]:
        """`gamma * w_i` of each layer."""
        return tuple((self.gamma.double() * self.weight.double()).tolist())

"""The dense layers of a head on features of a frozen trunk. Shape suffixes: N rows, D hidden, L labels."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from model.layers.feature_head import FeatureHead


class FeatureClassifier(nn.Module):
    """Dense layers with an activation behind each, and a projection onto the labels."""

    def __init__(self, head: FeatureHead, hidden_size: int, num_labels: int) -> None:
        super().__init__()
        sizes = [hidden_size, *head.dense_sizes]
        self.dense = nn.ModuleList(nn.Linear(in_size, out_size) for in_size, out_size in pairwise(sizes))
        self.out_proj = nn.Linear(sizes[-1], num_labels)
        self.activation = torch.tanh if head.activation == "tanh" else torch.relu
        self.temperature = head.temperature

    def forward(self, features_ND: Tensor) -> Tensor:
        """`[N, D]` to logits `[N, L]`, divided by the temperature, in the dtype of the features."""
        states = features_ND
        for dense in self.dense:
            states = self.activation(dense(states))
        return self.out_proj(states) / self.temperature

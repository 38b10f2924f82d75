"""The estimator of COMET: linear layers with an activation between them, from a state to a score."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.configuration.comet import Activation


class Estimator(nn.Module):
    """Linear layers of `sizes`, and one onto the score.

    Args:
        sizes: the width of the input, then those of the hidden layers.
        final_activation: of the score, if there is one.
    """

    def __init__(
        self, sizes: Sequence[int], activation: Activation, final_activation: Activation | None = None
    ) -> None:
        super().__init__()
        ends = [*sizes[1:], 1]
        self.layers = nn.ModuleList(nn.Linear(size, end) for size, end in zip(sizes, ends, strict=True))
        self.activation = _activation(activation)
        self.final_activation = _activation(final_activation or "Identity")

    def forward(self, states_ND: Tensor) -> Tensor:
        """States `[N, D]` to scores `[N]`; NaN where a state is not finite, as tanh would turn infinity into 1."""
        is_finite_N = states_ND.isfinite().all(dim=-1)
        x = states_ND
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        scores_N: Tensor = self.final_activation(self.layers[-1](x)).squeeze(-1)
        return scores_N.masked_fill(~is_finite_N, torch.nan)


def _activation(name: Activation) -> nn.Module:
    module: nn.Module = getattr(nn, name)()
    return module

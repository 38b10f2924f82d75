"""Linear layers for inference: without gradient, and prepacked for oneDNN on a CPU in bf16.

Shape suffixes: see `model.inference.encoder`.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Activation
from model.kernels.hardware import has_onednn_bf16
from model.layers.attention import SelfAttention
from model.parallel.layers import RowParallelLinear

# About how many tokens pass through all layers at a time on a CPU: activations stay in cache, and their memory is
# reused, where larger tensors would be allocated from the system and zeroed every time.
CPU_SLICE_TOKENS = 1280
# The number is padded to a multiple of this: oneDNN compiles a kernel for every shape (0.7 MB and 3 ms each), and
# caches about a thousand of them.
CPU_SLICE_MULTIPLE = 16


class InferenceLinear(nn.Module):
    """`activation(x W^T + b)`. On a CPU in bf16 the weights are prepacked, if oneDNN supports it.

    Args:
        activation: GELU is part of the prepacked product, others follow it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        self.is_prepacked = has_onednn_bf16(weight)
        self.weight: Tensor
        if self.is_prepacked:
            # Not a parameter, since its layout allows no views.
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), CPU_SLICE_TOKENS)
        else:
            self.weight = nn.Parameter(weight.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., out_features]`."""
        if not self.is_prepacked:
            y = F.linear(x, self.weight, self.bias)
            return y if self.activation is None else self.activation(y)
        multiply: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
        if self.activation is F.gelu:
            return multiply(x, self.weight, self.bias, "gelu", [], "none")
        y = multiply(x, self.weight, self.bias, "none", [], "")
        return y if self.activation is None else self.activation(y)


def qkv_projection(attention: SelfAttention) -> tuple[Tensor, Tensor]:
    """Concatenated weights `[3 A, D]` and biases `[3 A]` of query, key and value."""
    projections = (attention.query, attention.key, attention.value)
    weight, bias = (
        torch.cat([projection.get_parameter(name).detach() for projection in projections])
        for name in ("weight", "bias")
    )
    return weight, bias


class InferenceRowParallel(nn.Module):
    """A `RowParallelLinear` for inference: one rank adds the bias in the product, several after the sum."""

    def __init__(self, dense: RowParallelLinear, linear: Callable[[Tensor, Tensor | None], nn.Module]) -> None:
        super().__init__()
        self.group = dense.group
        is_alone = self.group.size == 1
        self.linear = linear(dense.weight, dense.bias if is_alone else None)
        self.late_bias = None if is_alone else nn.Parameter(dense.bias.detach(), requires_grad=False)

    def forward(self, *inputs: Any) -> Tensor:
        """The results of `linear`, summed over the ranks."""
        y: Tensor = self.linear(*inputs)
        if self.late_bias is not None:
            self.group.all_reduce_(y).add_(self.late_bias)
        return y

"""A layer in the form in which a shard computes with it: fused, prepacked, without gradient.

Query, key and value are one matrix, the residual is added in place, and on a CPU in bf16 the weights are laid
out once as oneDNN wants them (which otherwise happens in every call), with GELU in the product itself. The
products can be quantized (see `model.quantized`).

Shape suffixes: T packed tokens, D hidden, A this rank's heads times head size, N heads, K head size.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import packed_attention
from model.config import Activation
from model.encoder import Encoder, Layer
from model.fast_paths import FAST_PATH_CALLS, has_onednn_bf16
from model.layers import RowParallelLinear
from model.packing import PackedBatch
from model.quantized import Float8Linear, Int8Linear, Quantization

# Tokens that pass all layers at a time on a CPU: what a layer makes of them stays in its cache, and the memory
# for it is used again, where the pages of larger tensors are asked of the system and zeroed every time.
CPU_SLICE_TOKENS = 1024
# Their number is brought to a multiple of this: oneDNN compiles a kernel for every shape (0.7 MB and 3 ms each),
# and keeps a thousand of them.
CPU_SLICE_MULTIPLE = 16


class InferenceLinear(nn.Module):
    """`activation(x W^T + b)`. On a CPU in bf16, and where oneDNN has it, the weights are kept prepacked.

    Args:
        activation: GELU is part of the prepacked product; others follow it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        self.is_prepacked = has_onednn_bf16(weight)
        self.weight: Tensor
        if self.is_prepacked:
            # No view of it can be made: it is no parameter.
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), CPU_SLICE_TOKENS)
        else:
            self.weight = nn.Parameter(weight.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., out_features]`."""
        if not self.is_prepacked:
            y = F.linear(x, self.weight, self.bias)
            return y if self.activation is None else self.activation(y)
        FAST_PATH_CALLS["prepacked linear"] += 1
        multiply: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
        if self.activation is F.gelu:
            return multiply(x, self.weight, self.bias, "gelu", [], "none")
        y = multiply(x, self.weight, self.bias, "none", [], "")
        return y if self.activation is None else self.activation(y)


LinearClass = type[InferenceLinear] | type[Int8Linear] | type[Float8Linear]


def linear_class(quantization: Quantization | None) -> LinearClass:
    """What computes a layer's products."""
    match quantization:
        case "int8":
            return Int8Linear
        case "float8":
            return Float8Linear
    return InferenceLinear


class FusedLayer(nn.Module):
    """The self-attention and feed-forward blocks of a `Layer`, for packed batches only."""

    def __init__(self, layer: Layer, linear: LinearClass, *, is_causal: bool) -> None:
        super().__init__()
        attention = layer.attention.self
        projections = (attention.query, attention.key, attention.value)
        self.group = attention.group
        self.head_size = attention.head_size
        self.is_causal = is_causal
        self.attention_norm = layer.attention.self_attn_layer_norm
        self.qkv = linear(
            torch.cat([p.weight.detach() for p in projections]), torch.cat([p.bias.detach() for p in projections])
        )
        self.attention_output = _RowParallel(layer.attention.output.dense, linear)
        self.norm = layer.LayerNorm
        up = layer.intermediate.dense
        self.up = linear(up.weight, up.bias, layer.intermediate.activation)
        self.down = _RowParallel(layer.output.dense, linear)

    def add_to_(self, hidden_TD: Tensor, batch: PackedBatch) -> None:
        """Both blocks, each added to the residual `[T, D]` in place."""
        qkv_T3NK = self.qkv(self.attention_norm(hidden_TD)).unflatten(-1, (3, -1, self.head_size))
        q_TNK, k_TNK, v_TNK = qkv_T3NK.unbind(1)
        context_TNK = packed_attention(q_TNK, k_TNK, v_TNK, batch, is_causal=self.is_causal)
        hidden_TD += self.attention_output(context_TNK.flatten(1))
        hidden_TD += self.down(self.up(self.norm(hidden_TD)))


class _RowParallel(nn.Module):
    """A `RowParallelLinear`: the bias belongs to the product on one rank, and follows the sum over several."""

    def __init__(self, dense: RowParallelLinear, linear: LinearClass) -> None:
        super().__init__()
        self.group = dense.group
        is_alone = self.group.size == 1
        self.linear = linear(dense.weight, dense.bias if is_alone else None)
        self.late_bias = None if is_alone else nn.Parameter(dense.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        if self.late_bias is not None:
            self.group.all_reduce_(y).add_(self.late_bias)
        return y


class FusedEncoder(nn.Module):
    """The layers of an `Encoder`, which loses them one by one, so that no two forms of all are held at once."""

    def __init__(self, encoder: Encoder, quantization: Quantization | None, *, is_causal: bool) -> None:
        super().__init__()
        linear = linear_class(quantization)
        self.layer = nn.ModuleList()
        layers = encoder.layers
        encoder.layer = nn.ModuleList()
        for _ in range(len(layers)):
            self.layer.append(FusedLayer(layers.pop(0), linear, is_causal=is_causal))
        self.LayerNorm = encoder.LayerNorm

    @torch.no_grad()
    def forward_(self, hidden_TD: Tensor, batch: PackedBatch) -> Tensor:
        """Embeddings `[T, D]`, which are overwritten, to normalised states."""
        for layer in self.layer:
            assert isinstance(layer, FusedLayer)
            layer.add_to_(hidden_TD, batch)
        return self.LayerNorm(hidden_TD)

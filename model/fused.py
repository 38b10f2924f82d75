"""A layer in the form in which a shard computes with it: fused, prepacked, without gradient.

Query, key and value are one matrix, and the residual is added in place: on a GPU in the kernel of the LayerNorm
that follows (see `model.row_kernels`). On a CPU in bf16 the weights are laid out once as oneDNN wants them (which
otherwise happens in every call), with GELU in the product itself. The products can be quantized (see
`model.quantized` and `model.float8`).

Shape suffixes: T packed tokens, D hidden, A this rank's heads times head size, N heads, K head size.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import packed_attention
from model.config import Activation
from model.encoder import Encoder, Layer
from model.fast_paths import FAST_PATH_CALLS, has_onednn_bf16, runs_triton
from model.float8 import Codes, Float8Linear
from model.layers import RowParallelLinear
from model.packing import PackedBatch
from model.quantized import Int8Linear, Quantization

# About as many tokens pass all layers at a time on a CPU: what a layer makes of them stays in its cache, and the
# memory for it is used again, where the pages of larger tensors are asked of the system and zeroed every time.
CPU_SLICE_TOKENS = 1280
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


Linear = InferenceLinear | Int8Linear | Float8Linear
AddNorm = Callable[[Tensor, Tensor | None, nn.LayerNorm], Tensor | Codes]
"""`norm(hidden + added)`, where the sum `[T, D]` stays in `hidden`, and there may be nothing to add."""


def add_norm(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm) -> Tensor:
    """`AddNorm` by torch's own calls."""
    if added_TD is not None:
        hidden_TD += added_TD
    return norm(hidden_TD)


def add_norms(device: torch.device, quantization: Quantization | None) -> tuple[AddNorm, AddNorm]:
    """For the input of a product, and for the states that leave the last layer."""
    if not runs_triton(device):
        return add_norm, add_norm
    from model import row_kernels  # noqa: PLC0415  # Triton, which CPU builds of torch lack

    return row_kernels.add_norm_codes if quantization == "float8" else row_kernels.add_norm, row_kernels.add_norm


class FusedLayer(nn.Module):
    """The self-attention and feed-forward blocks of a `Layer`, for packed batches only."""

    def __init__(
        self, layer: Layer, quantization: Quantization | None, add_norm: AddNorm, *, is_causal: bool
    ) -> None:
        super().__init__()
        attention, up, down = layer.attention.self, layer.intermediate.dense, layer.output.dense
        projections = (attention.query, attention.key, attention.value)
        qkv_weight, qkv_bias = (
            torch.cat([projection.get_parameter(name).detach() for projection in projections])
            for name in ("weight", "bias")
        )
        self.add_norm = add_norm
        self.head_size = attention.head_size
        self.is_causal = is_causal
        self.attention_norm = layer.attention.self_attn_layer_norm
        self.norm = layer.LayerNorm
        linear, activated, linear_of_activated = _linears(quantization, layer.intermediate.activation)
        self.qkv = linear(qkv_weight, qkv_bias)
        self.attention_output = _RowParallel(layer.attention.output.dense, linear)
        self.up = activated(up.weight, up.bias)
        self.down = _RowParallel(down, linear_of_activated)

    def forward_(self, hidden_TD: Tensor, added_TD: Tensor | None, batch: PackedBatch) -> Tensor:
        """Both blocks.

        Args:
            hidden_TD: the residual, without what the layer before has yet to add to it; it is overwritten.
            added_TD: that, if there was a layer before.

        Returns:
            what this layer adds to the residual, `[T, D]`.
        """
        normed = self.add_norm(hidden_TD, added_TD, self.attention_norm)
        q_TNK, k_TNK, v_TNK = self.qkv(normed).unflatten(-1, (3, -1, self.head_size)).unbind(1)
        context_TNK = packed_attention(q_TNK, k_TNK, v_TNK, batch, is_causal=self.is_causal)
        normed = self.add_norm(hidden_TD, self.attention_output(context_TNK.flatten(1)), self.norm)
        return self.down(self.up(normed))


MakeLinear = Callable[[Tensor, Tensor | None], Linear]


def _linears(
    quantization: Quantization | None, activation: Activation
) -> tuple[MakeLinear, MakeLinear, MakeLinear]:
    """What computes a product, one that is activated, and one of what was activated: the activation belongs to
    the former on a CPU, and in float8 to the latter's codes."""
    match quantization:
        case "float8":
            return Float8Linear, Float8Linear, partial(Float8Linear, before=activation)
        case "int8":
            return Int8Linear, partial(Int8Linear, activation=activation), Int8Linear
    return InferenceLinear, partial(InferenceLinear, activation=activation), InferenceLinear


class _RowParallel(nn.Module):
    """A `RowParallelLinear`: the bias belongs to the product on one rank, and follows the sum over several."""

    def __init__(self, dense: RowParallelLinear, linear: MakeLinear) -> None:
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
        layer_add_norm, self.add_norm = add_norms(encoder.LayerNorm.weight.device, quantization)
        self.layer = nn.ModuleList()
        layers = encoder.layers
        encoder.layer = nn.ModuleList()
        for _ in range(len(layers)):
            self.layer.append(FusedLayer(layers.pop(0), quantization, layer_add_norm, is_causal=is_causal))
        self.LayerNorm = encoder.LayerNorm

    @torch.no_grad()
    def forward_(self, hidden_TD: Tensor, batch: PackedBatch) -> Tensor:
        """Embeddings `[T, D]`, which are overwritten, to normalised states."""
        added_TD: Tensor | None = None
        for layer in self.layer:
            assert isinstance(layer, FusedLayer)
            added_TD = layer.forward_(hidden_TD, added_TD, batch)
        states_TD = self.add_norm(hidden_TD, added_TD, self.LayerNorm)
        assert isinstance(states_TD, Tensor)
        return states_TD

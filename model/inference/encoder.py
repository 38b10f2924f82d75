"""The encoder for inference on packed batches, without gradient: fused, prepacked, optionally quantized.

Query, key and value are one product, and the residual is added in place: on a GPU by the kernel of the LayerNorm
that follows (`model.kernels.norm_triton`). On a CPU in bf16, weights are converted to oneDNN's layout once instead
of in every call, and GELU is part of the product. Products can be quantized (`model.inference.int8_linear`,
`model.inference.float8_linear`). CPUs with AMX use `model.inference.amx_layer` instead.

Shape suffixes: T packed tokens, D hidden, A this rank's heads times head size, N heads, K head size.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from model.config import Activation, XLMRobertaXLConfig
from model.inference.amx_layer import AMX_SLICE_TOKENS, AmxLayer, all_ranks_fit_amx, embed_, normalise_
from model.inference.float8_linear import Float8Linear
from model.inference.int8_linear import Int8Linear
from model.inference.layer_reader import ReadStates, SliceReaders
from model.inference.linear import (
    CPU_SLICE_MULTIPLE,
    CPU_SLICE_TOKENS,
    InferenceLinear,
    InferenceRowParallel,
    qkv_projection,
)
from model.inference.quantization import Quantization
from model.kernels.amx.kernels import Workspace
from model.kernels.float8 import Codes
from model.kernels.hardware import runs_triton
from model.kernels.packed_attention import attention_kernel, packed_attention
from model.layers.encoder import Embeddings, Encoder, Layer
from model.packing import PackedBatch
from model.parallel.group import ShardGroup

Linear = InferenceLinear | Int8Linear | Float8Linear
AddNorm = Callable[[Tensor, Tensor | None, nn.LayerNorm], Tensor | Codes]
"""`norm(hidden + added)`; `added` may be None, `hidden` `[T, D]` is overwritten (by the sum within layers)."""


def torch_add_norm(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm) -> Tensor:
    """`AddNorm` by torch calls."""
    if added_TD is not None:
        hidden_TD += added_TD
    return norm(hidden_TD)


def add_norms(
    device: torch.device, dtype: torch.dtype, quantization: Quantization | None
) -> tuple[AddNorm, AddNorm]:
    """The `AddNorm`s within layers, whose results are the inputs of products, and after the last layer."""
    # The Triton kernel computes in fp32, which is not enough for float64.
    if dtype == torch.float64 or not runs_triton(device):
        return torch_add_norm, torch_add_norm
    from model.kernels import norm_triton  # noqa: PLC0415  # needs Triton, which CPU builds of torch lack

    for_products = norm_triton.add_norm_codes if quantization == "float8" else norm_triton.triton_add_norm
    return for_products, norm_triton.triton_add_norm


class InferenceLayer(nn.Module):
    """The self-attention and feed-forward blocks of a `Layer`, for packed batches only."""

    def __init__(
        self, layer: Layer, quantization: Quantization | None, add_norm: AddNorm, *, is_causal: bool
    ) -> None:
        super().__init__()
        attention, up, down = layer.attention.self, layer.intermediate.dense, layer.output.dense
        self.add_norm = add_norm
        self.head_size = attention.head_size
        self.is_causal = is_causal
        self.attention_norm = layer.attention.self_attn_layer_norm
        self.norm = layer.LayerNorm
        linear, activated, linear_of_activated = _linears(quantization, layer.intermediate.activation)
        self.qkv = linear(*qkv_projection(attention))
        self.attention_output = InferenceRowParallel(layer.attention.output.dense, linear)
        self.up = activated(up.weight, up.bias)
        self.down = InferenceRowParallel(down, linear_of_activated)

    def forward_(
        self, hidden_TD: Tensor, added_TD: Tensor | None, batch: PackedBatch, read: ReadStates | None = None
    ) -> Tensor:
        """Run both blocks.

        Args:
            hidden_TD: the residual without the output of the previous layer; it is overwritten.
            added_TD: the output of the previous layer, which is added to the residual; None for the first layer.
            read: gets the input of this layer, their sum.

        Returns:
            the output of this layer, still to be added to the residual, `[T, D]`.
        """
        normed = self.add_norm(hidden_TD, added_TD, self.attention_norm)
        if read is not None:
            read(hidden_TD)
        q_TNK, k_TNK, v_TNK = self.qkv(normed).unflatten(-1, (3, -1, self.head_size)).unbind(1)
        context_TNK = packed_attention(q_TNK, k_TNK, v_TNK, batch, is_causal=self.is_causal)
        normed = self.add_norm(hidden_TD, self.attention_output(context_TNK.flatten(1)), self.norm)
        return self.down(self.up(normed))


MakeLinear = Callable[[Tensor, Tensor | None], Linear]


def _linears(
    quantization: Quantization | None, activation: Activation
) -> tuple[MakeLinear, MakeLinear, MakeLinear]:
    """Constructors of linear layers: a plain one, the one before the activation, and the one after it.

    The layer before it applies the activation, but in float8 the layer after it does, as it quantizes its input.
    """
    match quantization:
        case "float8":
            return Float8Linear, Float8Linear, partial(Float8Linear, before=activation)
        case "int8":
            return Int8Linear, partial(Int8Linear, activation=activation), Int8Linear
    return InferenceLinear, partial(InferenceLinear, activation=activation), InferenceLinear


class InferenceEncoder(nn.Module):
    """The layers of an `Encoder`, which are converted and removed from it one by one to save memory.

    Attributes:
        uses_amx: whether the layers are `AmxLayer`s.
        slice_tokens: about how many tokens to pass to `fill_` at a time on a CPU.
    """

    def __init__(
        self, encoder: Encoder, quantization: Quantization | None, config: XLMRobertaXLConfig, group: ShardGroup
    ) -> None:
        super().__init__()
        weight, is_causal = encoder.LayerNorm.weight, config.is_decoder
        layer_add_norm, self.add_norm = add_norms(weight.device, weight.dtype, quantization)
        layers = encoder.layers
        fuse: Callable[[Layer], InferenceLayer | AmxLayer]
        self.uses_amx = all_ranks_fit_amx(config, quantization, weight, group)
        if self.uses_amx:
            self.slice_tokens, self.add_norm = AMX_SLICE_TOKENS, normalise_
            fuse = partial(AmxLayer, quantization=quantization, workspace=Workspace(), is_causal=is_causal)
        else:
            self.slice_tokens = CPU_SLICE_TOKENS
            fuse = partial(InferenceLayer, quantization=quantization, add_norm=layer_add_norm, is_causal=is_causal)
        self.layer = nn.ModuleList()
        encoder.layer = nn.ModuleList()
        for _ in range(len(layers)):
            self.layer.append(fuse(layers.pop(0)))
        self.LayerNorm = encoder.LayerNorm

    @torch.no_grad()
    def kernel_names(self) -> dict[str, str]:
        """The kernels of the linear layers, of attention, and of the residual sum with LayerNorm."""
        layer = self.layer[0]
        if isinstance(layer, AmxLayer):
            attention: str = "amx"
        else:
            assert isinstance(layer, InferenceLayer)
            queries_TNK = self.LayerNorm.weight.new_empty(0, 1, layer.head_size)
            attention = attention_kernel(queries_TNK, is_causal=layer.is_causal)
        is_prepacked = isinstance(layer.qkv, InferenceLinear) and layer.qkv.is_prepacked
        linear = "prepacked" if is_prepacked else type(layer.qkv).__name__
        return {"linear": linear, "attention": attention, "norm": self.add_norm.__name__}

    @torch.no_grad()
    def forward_(self, hidden_TD: Tensor, batch: PackedBatch, readers: SliceReaders, num_layers: int) -> Tensor:
        """Embeddings `[T, D]` to the states of a layer; embeddings are overwritten (with AMX by these states).

        Args:
            batch: the batch of `readers`, which may be followed by padding.
            num_layers: the layer, 0 for the embeddings; the states of the last one are normalised.
        """
        added_TD: Tensor | None = None
        for index, layer in enumerate(islice(self.layer, num_layers)):
            assert isinstance(layer, InferenceLayer | AmxLayer)
            added_TD = layer.forward_(hidden_TD, added_TD, batch, readers.of_layer(index))
        if num_layers == len(self.layer):
            states_TD = self.add_norm(hidden_TD, added_TD, self.LayerNorm)
            assert isinstance(states_TD, Tensor)
        else:
            states_TD = hidden_TD if added_TD is None else hidden_TD.add_(added_TD)
        read = readers.of_layer(num_layers)
        if read is not None:
            read(states_TD)
        return states_TD

    @torch.no_grad()
    def fill_(self, states_TD: Tensor, embeddings: Embeddings, readers: SliceReaders, num_layers: int) -> None:
        """As `forward_` for the batch of `readers` on a CPU, from its token ids, into `states`."""
        batch = readers.batch
        if self.uses_amx:
            embed_(states_TD, embeddings, batch)
            self.forward_(states_TD, batch, readers, num_layers)
            return
        assert embeddings.pad_token_id is not None, "packed batches count positions from it"
        filled = batch.padded_to_multiple(CPU_SLICE_MULTIPLE, pad_token_id=embeddings.pad_token_id)
        found_TD = self.forward_(embeddings.forward_packed(filled), filled, readers, num_layers)
        states_TD.copy_(found_TD[: len(states_TD)])

"""A layer, the embeddings and the final norm for inference on CPUs with AMX (see `model.kernels.amx`).

Shape suffixes: T packed tokens, D hidden.
"""

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.config import XLMRobertaXLConfig
from model.inference.layer_reader import ReadStates
from model.inference.linear import InferenceRowParallel, qkv_projection
from model.inference.quantization import Quantization
from model.kernels.amx.kernels import (
    AmxInt8Linear,
    AmxLinear,
    Blocks,
    Workspace,
    add_norm_into,
    amx_attention,
    embed_into,
)
from model.kernels.amx.library import runs_amx_kernels
from model.layers.encoder import Embeddings, Layer
from model.packing import PackedBatch
from model.parallel.group import ShardGroup

# About how many tokens pass through all layers at a time: weights are read from memory once for all of them.
AMX_SLICE_TOKENS = 4096


def fits_amx(config: XLMRobertaXLConfig, quantization: Quantization | None, dtype: torch.dtype) -> bool:
    """Whether this process can compute the layers with AMX: bf16 or int8, GELU, a head size that 16 divides."""
    return (
        quantization != "float8"
        and config.hidden_act == "gelu"
        and config.head_size % 16 == 0
        and runs_amx_kernels(torch.empty(0, dtype=dtype))
    )


def all_ranks_fit_amx(
    config: XLMRobertaXLConfig, quantization: Quantization | None, weight: Tensor, group: ShardGroup
) -> bool:
    """Whether all ranks can: their results are summed, so all must compute in the same way. False on GPUs."""
    if weight.device.type != "cpu" or config.intermediate_size < group.size:
        return False
    fits = torch.tensor([int(fits_amx(config, quantization, weight.dtype))])
    return bool(group.all_reduce_(fits, dist.ReduceOp.MIN))


def embed_(hidden_TD: Tensor, embeddings: Embeddings, batch: PackedBatch) -> None:
    """Write the embeddings of a packed batch into `hidden`, in one pass if this rank holds all words."""
    words = embeddings.word_embeddings
    if words.group.size > 1:
        hidden_TD.copy_(embeddings.forward_packed(batch))
        return
    token_type = embeddings.token_type_embeddings.weight[0]
    embed_into(hidden_TD, words.weight, token_type, embeddings.position_embeddings.weight, batch)


def normalise_(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm) -> Tensor:
    """Overwrite `hidden` with `norm(hidden + added)`."""
    add_norm_into(hidden_TD, added_TD, norm, hidden_TD)
    return hidden_TD


class AmxLayer(nn.Module):
    """The self-attention and feed-forward blocks of a `Layer`, for packed batches only.

    Args:
        workspace: buffers that all layers share.
    """

    def __init__(
        self, layer: Layer, quantization: Quantization | None, workspace: Workspace, *, is_causal: bool
    ) -> None:
        super().__init__()
        attention, up = layer.attention.self, layer.intermediate.dense
        linear = partial(AmxInt8Linear, workspace=workspace) if quantization == "int8" else AmxLinear
        self.workspace = workspace
        self.head_size = attention.head_size
        self.is_causal = is_causal
        self.attention_norm = layer.attention.self_attn_layer_norm
        self.norm = layer.LayerNorm
        qkv_weight, qkv_bias = qkv_projection(attention)
        self.qkv_size, self.intermediate_size = len(qkv_weight), len(up.weight)
        self.qkv = linear(qkv_weight, qkv_bias)
        self.attention_output = InferenceRowParallel(layer.attention.output.dense, linear)
        self.up = linear(up.weight, up.bias, is_activated=True)
        self.down = InferenceRowParallel(layer.output.dense, linear)

    def forward_(
        self, hidden_TD: Tensor, added_TD: Tensor | None, batch: PackedBatch, read: ReadStates | None = None
    ) -> Tensor:
        """As `InferenceLayer.forward_`; the result is valid until the next call of any layer."""
        workspace, (num_tokens, hidden_size) = self.workspace, hidden_TD.shape
        normed = workspace.blocks("normed", num_tokens, hidden_size)
        add_norm_into(hidden_TD, added_TD, self.attention_norm, normed)
        if read is not None:
            read(hidden_TD)
        context = self._attend(self.qkv(normed, workspace.blocks("qkv", num_tokens, self.qkv_size)), batch)
        added_TD = workspace.rows("added", num_tokens, hidden_size)
        add_norm_into(hidden_TD, self.attention_output(context, added_TD), self.norm, normed)
        activated = self.up(normed, workspace.blocks("activated", num_tokens, self.intermediate_size))
        return self.down(activated, added_TD)

    def _attend(self, qkv: Blocks, batch: PackedBatch) -> Blocks:
        context = self.workspace.blocks("context", qkv.num_rows, self.qkv_size // 3)
        return amx_attention(qkv, batch.lengths, self.head_size, context, is_causal=self.is_causal)

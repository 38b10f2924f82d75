"""The AMX kernels on tensors: embeddings, residual sum with LayerNorm, linear layers, attention.

Every kernel writes into memory of the caller (see `Workspace`).

Shape suffixes: T packed tokens, D hidden, V vocabulary, P positions, A three times this rank's heads times head
size, I input features, O output features.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.kernels.amx.library import call
from model.kernels.int8 import int8_codes
from model.packing import PackedBatch

_BLOCK_ROWS = 32
_STEP_BYTES = 64


class Blocks(NamedTuple):
    """bf16 rows in the blocked memory layout that the product reads (see `tiles.h`).

    Attributes:
        data: uint8 `[num_bytes]`.
    """

    data: Tensor
    num_rows: int
    num_features: int


class Workspace:
    """Named buffers that all layers of a trunk share. They are kept: the system has to zero new pages first.

    Only one thread at a time may use a trunk, since its layers share one workspace.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def rows(self, name: str, num_rows: int, num_features: int) -> Tensor:
        """bf16 `[num_rows, num_features]` in the buffer of this name; earlier contents are overwritten."""
        num_bytes = 2 * num_rows * num_features
        return self._bytes(name, num_bytes).view(torch.bfloat16).view(num_rows, num_features)

    def blocks(self, name: str, num_rows: int, num_features: int) -> Blocks:
        """As `rows`, in the blocked layout."""
        data = self._bytes(name, _num_block_bytes(num_rows, 2 * num_features))
        return Blocks(data, num_rows, num_features)

    def codes(self, num_rows: int, num_features: int) -> tuple[Tensor, Tensor]:
        """Buffers for int8 codes in the blocked layout, and for fp32 scales `[num_rows]`."""
        codes = self._bytes("codes", _num_block_bytes(num_rows, num_features))
        return codes, self._bytes("scales", 4 * num_rows).view(torch.float32)

    def _bytes(self, name: str, num_bytes: int) -> Tensor:
        if name not in self._memory or len(self._memory[name]) < num_bytes:
            # Free the old buffer before the new one is allocated.
            self._memory.pop(name, None)
            # A buffer made in inference mode could not be used outside of it.
            with torch.inference_mode(False):
                self._memory[name] = torch.empty(num_bytes, dtype=torch.uint8)
        return self._memory[name][:num_bytes]


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _num_block_bytes(num_rows: int, row_bytes: int) -> int:
    return _ceil_div(num_rows, _BLOCK_ROWS) * _BLOCK_ROWS * _ceil_div(row_bytes, _STEP_BYTES) * _STEP_BYTES


def embed_into(
    hidden_TD: Tensor, words_VD: Tensor, type_D: Tensor, positions_PD: Tensor, batch: PackedBatch
) -> None:
    """Write the sum of word, token type and position embeddings, added in this order in bf16, into `hidden`.

    Raises IndexError: a token id that is no row of `words`, or a position that is no row of `positions`.
    """
    assert hidden_TD.dtype == words_VD.dtype == type_D.dtype == positions_PD.dtype == torch.bfloat16
    word_ids, position_ids = batch.input_ids.contiguous(), batch.position_ids.contiguous()
    assert word_ids.dtype == position_ids.dtype == torch.int64
    assert len(word_ids) == len(position_ids) == len(hidden_TD)
    for name, ids, table, remedy in (
        ("token", word_ids, words_VD, "use the tokenizer of this model"),
        ("position", position_ids, positions_PD, "count them from pad_token_id + 1 in every sequence"),
    ):
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(table):
            raise IndexError(
                f"{name} ids must be in [0, {len(table)}), found {int(ids.min())} to {int(ids.max())}; {remedy}"
            )
    call("embed", words_VD, word_ids, type_D, positions_PD, position_ids, hidden_TD, *hidden_TD.shape)


def add_norm_into(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm, normed: Blocks | Tensor) -> None:
    """Write `norm(hidden + added)` into `normed`, and the sum into `hidden` unless both are the same tensor.

    Args:
        added_TD: None to add nothing.
    """
    assert hidden_TD.dtype == norm.weight.dtype == torch.bfloat16
    data, gives_blocks = (normed.data, 1) if isinstance(normed, Blocks) else (normed, 0)
    sizes = *hidden_TD.shape, gives_blocks
    call("add_norm", hidden_TD, added_TD, norm.weight, norm.bias, float(norm.eps), data, *sizes)


def amx_attention(
    qkv: Blocks, lengths: tuple[int, ...], head_size: int, context: Blocks, *, is_causal: bool
) -> Blocks:
    """Softmax attention within each packed sequence, from `qkv` `[T, A]` into `context` `[T, A / 3]`.

    Args:
        head_size: a multiple of 16.
    """
    if context.num_features % 32:
        context.data.zero_()
    num_heads = context.num_features // head_size
    sizes = torch.tensor(lengths)
    call("attention", qkv.data, sizes, context.data, len(lengths), num_heads, head_size, int(is_causal))
    return context


class AmxLinear(nn.Module):
    """`x W^T + b` of bf16 rows in blocks.

    Args:
        is_activated: apply GELU to the result.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, is_activated: bool = False) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.is_activated = is_activated
        # Not a parameter, since its layout allows no views.
        self.weight = packed(weight)

    def forward(self, x: Blocks, y: Tensor | Blocks) -> Tensor | Blocks:
        """Write the result `[T, O]` into `y`; returns `y`."""
        arguments = _product_arguments(x, self.bias, y, self.is_activated)
        call("linear", x.data, None, self.weight, None, *arguments)
        return y


class AmxInt8Linear(nn.Module):
    """`AmxLinear` in int8: weights are quantized once with a scale per row, activations with a scale per token.

    Args:
        workspace: holds the codes of the activations.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, workspace: Workspace, is_activated: bool = False
    ) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.is_activated = is_activated
        self.workspace = workspace
        codes_OI, scale_O1 = int8_codes(weight)
        self.weight = packed(codes_OI)
        self.scale_O = scale_O1.flatten()

    def forward(self, x: Blocks, y: Tensor | Blocks) -> Tensor | Blocks:
        """Write the result `[T, O]` into `y`; returns `y`."""
        codes, scale_T = self.workspace.codes(x.num_rows, x.num_features)
        call("quantize", x.data, codes, scale_T, x.num_rows, x.num_features)
        arguments = _product_arguments(x, self.bias, y, self.is_activated)
        call("linear", codes, scale_T, self.weight, self.scale_O, *arguments)
        return y


def packed(weight_OI: Tensor) -> Tensor:
    """Weights, or rows that take the place of weights, in the layout that a product reads."""
    weight_OI = weight_OI.detach().contiguous()
    row_bytes = weight_OI.shape[1] * weight_OI.itemsize
    data = torch.empty(_num_block_bytes(len(weight_OI), row_bytes), dtype=torch.uint8, device="cpu")
    call("pack_weight", weight_OI, data, len(weight_OI), row_bytes)
    return data


def _product_arguments(
    x: Blocks, bias_O: Tensor | None, y: Tensor | Blocks, is_activated: bool
) -> tuple[Tensor | int | None, ...]:
    """The arguments that the bf16 and the int8 product share, from the bias on."""
    data, num_outputs = (y.data, y.num_features) if isinstance(y, Blocks) else (y, y.shape[1])
    assert bias_O is None or bias_O.dtype == torch.bfloat16
    return bias_O, data, x.num_rows, x.num_features, num_outputs, int(is_activated), int(isinstance(y, Blocks))

"""The kernels, called on tensors: embeddings, residual and LayerNorm, products, attention.

Every kernel writes into memory that it is given (see `Room`).

Shape suffixes: T packed tokens, D hidden, V vocabulary, P positions, A three times this rank's heads times head
size, I input features, O output features.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.kernels.amx.library import call
from model.kernels.hardware import FAST_PATH_CALLS
from model.kernels.int8 import int8_codes
from model.packing import PackedBatch

_BLOCK_ROWS = 32
_STEP_BYTES = 64


class Blocks(NamedTuple):
    """Rows in bf16, in the order in which a product reads them (see `tiles.h`).

    Attributes:
        data: uint8 `[num_bytes]`.
    """

    data: Tensor
    num_rows: int
    num_features: int


class Room:
    """Memory that layers use one after the other. It is kept: pages that are new have to be cleared first.

    A trunk has one, and so is for one thread at a time.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def rows(self, name: str, num_rows: int, num_features: int) -> Tensor:
        """bf16 `[num_rows, num_features]`; what was in this place is overwritten."""
        num_bytes = 2 * num_rows * num_features
        return self._bytes(name, num_bytes).view(torch.bfloat16).view(num_rows, num_features)

    def blocks(self, name: str, num_rows: int, num_features: int) -> Blocks:
        """The same in blocks."""
        data = self._bytes(name, _num_block_bytes(num_rows, 2 * num_features))
        return Blocks(data, num_rows, num_features)

    def codes(self, num_rows: int, num_features: int) -> tuple[Tensor, Tensor]:
        """For int8 codes of rows in blocks, and fp32 scales `[num_rows]`."""
        codes = self._bytes("codes", _num_block_bytes(num_rows, num_features))
        return codes, self._bytes("scales", 4 * num_rows).view(torch.float32)

    def _bytes(self, name: str, num_bytes: int) -> Tensor:
        if name not in self._memory or len(self._memory[name]) < num_bytes:
            # The old one goes before the new one comes.
            self._memory.pop(name, None)
            # It serves calls in inference mode and others.
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
    """Word, token type and position embeddings, added up in this order in bf16, into `hidden`.

    Raises:
        IndexError: a token that is no row of `words`, or a position that is none of `positions`.
    """
    assert hidden_TD.dtype == words_VD.dtype == type_D.dtype == positions_PD.dtype == torch.bfloat16
    FAST_PATH_CALLS["embeddings in one pass"] += 1
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
    """`norm(hidden + added)` into `normed`, which may be `hidden`; otherwise the sum stays there. There may be
    nothing to add."""
    assert hidden_TD.dtype == norm.weight.dtype == torch.bfloat16
    FAST_PATH_CALLS["residual and norm in one pass"] += 1
    data, gives_blocks = (normed.data, 1) if isinstance(normed, Blocks) else (normed, 0)
    sizes = *hidden_TD.shape, gives_blocks
    call("add_norm", hidden_TD, added_TD, norm.weight, norm.bias, float(norm.eps), data, *sizes)


def attention_in_tiles(
    qkv: Blocks, lengths: tuple[int, ...], head_size: int, context: Blocks, *, is_causal: bool
) -> Blocks:
    """Softmax attention of each packed sequence to itself, `[T, A]` into `context`, `[T, A / 3]`.

    Args:
        head_size: a multiple of 16.
    """
    FAST_PATH_CALLS["attention in tiles of a CPU"] += 1
    if context.num_features % 32:
        context.data.zero_()
    num_heads = context.num_features // head_size
    sizes = torch.tensor(lengths)
    call("attention", qkv.data, sizes, context.data, len(lengths), num_heads, head_size, int(is_causal))
    return context


class AmxLinear(nn.Module):
    """`x W^T + b` in bf16, of rows in blocks.

    Args:
        is_activated: GELU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, is_activated: bool = False) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.is_activated = is_activated
        # No view of it can be made: it is no parameter.
        self.weight = packed(weight)

    def forward(self, x: Blocks, y: Tensor | Blocks) -> Tensor | Blocks:
        """Into `y`, `[T, O]`, and back."""
        FAST_PATH_CALLS["linear in tiles"] += 1
        arguments = _product_arguments(x, self.bias, y, self.is_activated)
        call("linear", x.data, None, self.weight, None, *arguments)
        return y


class AmxInt8Linear(nn.Module):
    """The same of int8 codes: weights with a scale a row, inputs as they come, with a scale a token.

    Args:
        room: where the codes of an input are.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, room: Room, is_activated: bool = False) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.is_activated = is_activated
        self.room = room
        codes_OI, scale_O1 = int8_codes(weight)
        self.weight = packed(codes_OI)
        self.scale_O = scale_O1.flatten()

    def forward(self, x: Blocks, y: Tensor | Blocks) -> Tensor | Blocks:
        """Into `y`, `[T, O]`, and back."""
        FAST_PATH_CALLS["int8 linear in tiles"] += 1
        codes, scale_T = self.room.codes(x.num_rows, x.num_features)
        call("quantize", x.data, codes, scale_T, x.num_rows, x.num_features)
        arguments = _product_arguments(x, self.bias, y, self.is_activated)
        call("linear", codes, scale_T, self.weight, self.scale_O, *arguments)
        return y


def packed(weight_OI: Tensor) -> Tensor:
    """Weights, or rows in the place of weights, as a product reads them."""
    weight_OI = weight_OI.detach().contiguous()
    row_bytes = weight_OI.shape[1] * weight_OI.itemsize
    data = torch.empty(_num_block_bytes(len(weight_OI), row_bytes), dtype=torch.uint8, device="cpu")
    call("pack_weight", weight_OI, data, len(weight_OI), row_bytes)
    return data


def _product_arguments(
    x: Blocks, bias_O: Tensor | None, y: Tensor | Blocks, is_activated: bool
) -> tuple[Tensor | int | None, ...]:
    """Of both products, from the bias on."""
    data, num_outputs = (y.data, y.num_features) if isinstance(y, Blocks) else (y, y.shape[1])
    assert bias_O is None or bias_O.dtype == torch.bfloat16
    return bias_O, data, x.num_rows, x.num_features, num_outputs, int(is_activated), int(isinstance(y, Blocks))

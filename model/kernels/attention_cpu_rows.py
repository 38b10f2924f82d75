"""Attention of packed sequences on padded rows, which is faster in torch on CPUs with AMX.

For layers that the kernels of `model.kernels.amx` do not support. torch's kernel multiplies tiles of 16 x 16 on
such CPUs. For lengths that are not multiples of 16 it takes up to twice as long, so each sequence is padded to the
next multiple, and a mask hides the padding.

Shape suffixes: T packed tokens, R rows, F places of a row, N heads of this rank, K head size.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

TILE_SIZE = 16
# Shorter sequences are not padded: copying them would cost more than it saves.
MIN_FILLED_LENGTH = 32


@dataclass(frozen=True)
class RowGroup:
    """Consecutive sequences in rows of one length.

    Attributes:
        tokens: their range in the packed axis.
        token_of_place: for each place of the rows `[R * F]`, the index of its token; None without padding.
        place_of_token: for each token of the range, the index of its place; None without padding.
        mask: added to the scores, bf16 `[R, 1, 1, F]`; None without padding.
    """

    tokens: slice
    num_rows: int
    row_length: int
    token_of_place: Tensor | None
    place_of_token: Tensor | None
    mask: Tensor | None


def rows_attention(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Softmax attention within each sequence, `[T, N, K]`, in bf16 on a CPU and without gradient."""
    context_TNK = torch.empty(q_TNK.shape, dtype=q_TNK.dtype)
    for group in row_groups(lengths):
        q_RNFK, k_RNFK, v_RNFK = (_in_rows(x_TNK, group) for x_TNK in (q_TNK, k_TNK, v_TNK))
        rows_RNFK = F.scaled_dot_product_attention(q_RNFK, k_RNFK, v_RNFK, attn_mask=group.mask)
        places = rows_RNFK.transpose(1, 2).flatten(0, 1)
        if group.place_of_token is None:
            context_TNK[group.tokens] = places
        else:
            torch.index_select(places, 0, group.place_of_token, out=context_TNK[group.tokens])
    return context_TNK


def _in_rows(x_TNK: Tensor, group: RowGroup) -> Tensor:
    places = x_TNK[group.tokens] if group.token_of_place is None else x_TNK.index_select(0, group.token_of_place)
    return places.unflatten(0, (group.num_rows, group.row_length)).transpose(1, 2)


@lru_cache(maxsize=1)
def row_groups(lengths: tuple[int, ...]) -> tuple[RowGroup, ...]:
    """Arrange sequences of these lengths in rows; cached, since every layer of a batch asks for the same."""
    groups = []
    begin = 0
    for row_length, run in groupby(lengths, key=_row_length):
        group = _group(begin, row_length, np.array(list(run)))
        groups.append(group)
        begin = group.tokens.stop
    return tuple(groups)


def _row_length(length: int) -> int:
    return length if length < MIN_FILLED_LENGTH else length + -length % TILE_SIZE


def _group(begin: int, row_length: int, lengths_R: NDArray[np.int64]) -> RowGroup:
    """A group of rows of one length for the tokens from `begin` on."""
    tokens = slice(begin, begin + int(lengths_R.sum()))
    place_RF = np.arange(row_length)
    is_taken_RF = place_RF < lengths_R[:, None]
    if is_taken_RF.all():
        return RowGroup(tokens, len(lengths_R), row_length, None, None, None)
    first_R = begin + lengths_R.cumsum() - lengths_R
    # Padding repeats the last token of the sequence, so that it is finite if the sequence is.
    token_RF = first_R[:, None] + np.minimum(place_RF, lengths_R[:, None] - 1)
    mask_RF = torch.where(torch.from_numpy(is_taken_RF), 0.0, -torch.inf).to(torch.bfloat16)
    return RowGroup(
        tokens,
        len(lengths_R),
        row_length,
        torch.from_numpy(token_RF.ravel()),
        torch.from_numpy(np.flatnonzero(is_taken_RF)),
        mask_RF[:, None, None, :],
    )

"""Attention of packed sequences on a GPU, in Triton, with tile sizes that fit the lengths of the sequences.

torch's varlen kernel uses tiles of 128 queries, most of which a short sequence leaves empty, and starts as many
tiles for each sequence as the longest one needs. Here each tile belongs to one sequence, so that the result of a
sequence depends on nothing else. The algorithm is that of FlashAttention-2 (Dao 2023,
https://arxiv.org/abs/2307.08691). Triton (https://triton-lang.org) comes with CUDA builds of torch.

Shape suffixes: T packed tokens, N heads of this rank, K head size.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.attention_triton_tiles import tile_groups
from model.kernels.norm_triton import two_pieces


def triton_attention_(
    context_TNK: Tensor,
    q_TNK: Tensor,
    k_TNK: Tensor,
    v_TNK: Tensor,
    lengths: tuple[int, ...],
    *,
    skipped_length: int = 0,
) -> None:
    """Write the softmax attention within each sequence, in half precision and without gradient, into `context`.

    Args:
        q_TNK, k_TNK, v_TNK: of equal strides; the elements of a head are contiguous.
        skipped_length: skip sequences of exactly this length.
    """
    num_heads, head_size = q_TNK.shape[1:]
    token_stride, head_stride, element_stride = q_TNK.stride()
    assert element_stride == 1
    assert q_TNK.stride() == k_TNK.stride() == v_TNK.stride()
    assert context_TNK.is_contiguous()
    with torch.cuda.device_of(q_TNK):
        for group in tile_groups(lengths, head_size, q_TNK.device, skipped_length):
            shape = group.shape
            # Triton 3.6 and 3.7 miscompile Hopper's instructions for some pieces of fewer than 64 numbers
            # (https://github.com/triton-lang/triton/issues/11366).
            in_one_piece = triton.next_power_of_2(head_size), 0
            size, rest_size = in_one_piece if shape.is_of_hopper else two_pieces(head_size)
            _attention_kernel[(num_heads * len(group.tiles),)](
                q_TNK,
                k_TNK,
                v_TNK,
                context_TNK,
                group.tiles,
                # exp2 is cheaper than exp.
                math.log2(math.e) / math.sqrt(head_size),
                token_stride,
                head_stride,
                num_heads,
                HEAD_SIZE=head_size,
                SIZE=size,
                REST_SIZE=rest_size,
                NUM_QUERIES=shape.num_queries,
                NUM_KEYS=shape.num_keys,
                num_warps=shape.num_warps,
                num_stages=shape.num_stages,
            )


@triton.jit
def _attention_kernel(
    q_heads,
    k_heads,
    v_heads,
    out,
    tiles,
    scale,
    token_stride,
    head_stride,
    num_heads,
    HEAD_SIZE: tl.constexpr,
    SIZE: tl.constexpr,
    REST_SIZE: tl.constexpr,
    NUM_QUERIES: tl.constexpr,
    NUM_KEYS: tl.constexpr,
):
    """One tile of one head. The elements of the head are one padded piece, or two pieces without padding."""
    # Programs of one tile are consecutive, as its heads are in memory.
    head = tl.program_id(0) % num_heads
    tile = tiles + 3 * (tl.program_id(0) // num_heads)
    first_token = tl.load(tile).to(tl.int64)
    length = tl.load(tile + 1)
    query = tl.load(tile + 2) + tl.arange(0, NUM_QUERIES)
    is_query = query[:, None] < length
    element = tl.arange(0, SIZE)
    is_element = element[None, :] < HEAD_SIZE
    first = first_token * token_stride + head * head_stride
    q_place = first + query[:, None] * token_stride + element[None, :]
    q = tl.load(q_heads + q_place, mask=is_query & is_element, other=0.0)
    context = tl.zeros([NUM_QUERIES, SIZE], dtype=tl.float32)
    if REST_SIZE:
        rest = SIZE + tl.arange(0, REST_SIZE)
        is_rest = rest < HEAD_SIZE
        q_rest_place = first + query[:, None] * token_stride + rest[None, :]
        q_rest = tl.load(q_heads + q_rest_place, mask=is_query & is_rest[None, :], other=0.0)
        context_rest = tl.zeros([NUM_QUERIES, REST_SIZE], dtype=tl.float32)
    highest = tl.full([NUM_QUERIES], -float("inf"), dtype=tl.float32)
    total = tl.zeros([NUM_QUERIES], dtype=tl.float32)
    for first_key in range(0, length, NUM_KEYS):
        key = first_key + tl.arange(0, NUM_KEYS)
        is_key = key < length
        place = first + key[:, None] * token_stride + element[None, :]
        k = tl.load(k_heads + place, mask=is_key[:, None] & is_element, other=0.0)
        scores = tl.dot(q, tl.trans(k))
        if REST_SIZE:
            rest_place = first + key[:, None] * token_stride + rest[None, :]
            is_rest_key = is_key[:, None] & is_rest[None, :]
            k_rest = tl.load(k_heads + rest_place, mask=is_rest_key, other=0.0)
            scores = tl.dot(q_rest, tl.trans(k_rest), scores)
        scores = tl.where(is_key[None, :], scores * scale, -float("inf"))
        new_highest = tl.maximum(highest, tl.max(scores, axis=1))
        weights = tl.exp2(scores - new_highest[:, None])
        decay = tl.exp2(highest - new_highest)
        highest = new_highest
        total = total * decay + tl.sum(weights, axis=1)
        v = tl.load(v_heads + place, mask=is_key[:, None] & is_element, other=0.0)
        context = tl.dot(weights.to(v.dtype), v, context * decay[:, None])
        if REST_SIZE:
            v_rest = tl.load(v_heads + rest_place, mask=is_rest_key, other=0.0)
            context_rest = tl.dot(weights.to(v.dtype), v_rest, context_rest * decay[:, None])
    out_row = out + (first_token + query[:, None]) * (num_heads * HEAD_SIZE) + head * HEAD_SIZE
    kind = out.dtype.element_ty
    tl.store(out_row + element[None, :], (context / total[:, None]).to(kind), mask=is_query & is_element)
    if REST_SIZE:
        rest_context = (context_rest / total[:, None]).to(kind)
        tl.store(out_row + rest[None, :], rest_context, mask=is_query & is_rest[None, :])

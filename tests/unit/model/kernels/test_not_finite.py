"""Queries and keys that are not finite stay so in attention, and their neighbours are as they were without."""

import pytest
import torch
from torch import Tensor

from model import PackedBatch
from model.kernels.hardware import has_onednn_bf16
from model.kernels.not_finite import keep_not_finite_
from model.kernels.packed_attention import packed_attention

LENGTHS = [5, 1, 5, 33, 33]
"""Short and longer than a vector of scores; equal neighbours share a call."""
INF, NAN = torch.inf, torch.nan
TOKENS_OF_SEQUENCE_2 = slice(6, 11)


def attend(qkv: Tensor, *, is_causal: bool) -> Tensor:
    batch = PackedBatch.from_lengths(torch.zeros(sum(LENGTHS), dtype=torch.int64), LENGTHS, pad_token_id=1)
    with torch.no_grad():
        return packed_attention(*qkv.unbind(1), batch, is_causal=is_causal)


def random_qkv(dtype: torch.dtype) -> Tensor:
    """`[T, 3, N, K]`; the first number of keys is positive, so that a query of -inf there has scores of -inf."""
    qkv = torch.randn(sum(LENGTHS), 3, 2, 16, generator=torch.Generator().manual_seed(3))
    qkv[:, 1, :, 0] = qkv[:, 1, :, 0].abs() + 0.1
    return qkv.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("numbers", [(-INF, 0.0), (INF, INF), (INF, -INF), (NAN, 0.0)], ids=str)
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_query_that_is_not_finite(dtype: torch.dtype, numbers: tuple[float, float], is_causal: bool) -> None:
    """Of its token alone: softmax of scores that are NaN or -inf throughout is NaN."""
    qkv = random_qkv(dtype)
    whole = attend(qkv, is_causal=is_causal)
    qkv[8, 0, 1, :2] = torch.tensor(numbers)
    found = attend(qkv, is_causal=is_causal)
    assert not found[8, 1].isfinite().all()
    found[8, 1] = whole[8, 1]
    assert torch.equal(found, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_keys_of_which_none_is_finite(dtype: torch.dtype) -> None:
    qkv = random_qkv(dtype)
    whole = attend(qkv, is_causal=False)
    qkv[TOKENS_OF_SEQUENCE_2, 1] = NAN
    found = attend(qkv, is_causal=False)
    assert not found[TOKENS_OF_SEQUENCE_2].isfinite().all(dim=-1).any()
    found[TOKENS_OF_SEQUENCE_2] = whole[TOKENS_OF_SEQUENCE_2]
    assert torch.equal(found, whole)


@pytest.mark.skipif(not has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16)), reason="no bf16 of oneDNN")
def test_attention_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.kernels.packed_attention.has_amx", lambda: True)
    test_a_query_that_is_not_finite(torch.bfloat16, (-INF, 0.0), is_causal=False)
    test_keys_of_which_none_is_finite(torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_finite_numbers_change_nothing(dtype: torch.dtype) -> None:
    context, q, k = torch.randn(3, 7, 2, 16).to(dtype)
    q[0, 0, 0], k[1, 0, 0] = torch.finfo(dtype).max, torch.finfo(dtype).min
    assert torch.equal(keep_not_finite_(context.clone(), q, k), context)

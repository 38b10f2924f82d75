"""Attention in rows against plain attention of each sequence, and how sequences lie in rows."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model import PackedBatch
from model.kernels import packed_attention as dispatch
from model.kernels.attention_cpu_rows import MIN_FILLED_LENGTH, TILE_SIZE, row_groups, rows_attention
from model.kernels.hardware import has_amx, has_onednn_bf16
from tests.call_counts import count_calls

LENGTHS = st.lists(
    st.one_of(st.integers(1, 40), st.sampled_from([16, 32, 33, 48, 64, 96, 100])), min_size=1, max_size=12
)


def random_qkv(num_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Three views of one matrix, as fused layers have them."""
    generator = torch.Generator().manual_seed(num_tokens)
    q, k, v = torch.randn(num_tokens, 3, 2, 80, generator=generator).mul_(2).bfloat16().unbind(1)
    return q, k, v


def of_each_sequence(qkv: tuple[Tensor, Tensor, Tensor], lengths: list[int], dtype: torch.dtype) -> Tensor:
    """Attention of one sequence after the other, without rows and without masks."""
    outputs = []
    for parts in zip(*(x.to(dtype).split(lengths) for x in qkv), strict=True):
        q, k, v = (x.transpose(0, 1)[None] for x in parts)
        outputs.append(F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1))
    return torch.cat(outputs)


@settings(max_examples=40, deadline=None)
@given(LENGTHS)
def test_each_sequence_attends_to_itself(lengths: list[int]) -> None:
    qkv = random_qkv(sum(lengths))
    exact = of_each_sequence(qkv, lengths, torch.float64)
    with torch.inference_mode():
        found = rows_attention(*qkv, tuple(lengths))
        plain = of_each_sequence(qkv, lengths, torch.bfloat16)
    assert (found - exact).abs().mean() <= 1.2 * (plain - exact).abs().mean() + 1e-6
    torch.testing.assert_close(found.double(), exact, rtol=0.05, atol=0.05)


@given(LENGTHS)
def test_places_hold_every_token_once_and_in_order(lengths: list[int]) -> None:
    tokens = []
    for group in row_groups(tuple(lengths)):
        assert group.row_length % TILE_SIZE == 0 or group.row_length < MIN_FILLED_LENGTH
        num_places = group.num_rows * group.row_length
        here = torch.arange(group.tokens.start, group.tokens.stop)
        if group.token_of_place is None:
            assert len(here) == num_places
        else:
            assert group.place_of_token is not None
            assert len(group.token_of_place) == num_places
            assert torch.equal(group.token_of_place[group.place_of_token], here)
        tokens += here.tolist()
    assert tokens == list(range(sum(lengths)))


def test_rows_that_are_full_and_short_sequences_are_used_in_place() -> None:
    groups = row_groups((512, 512, 190, 177, 33, 31, 31, 14))
    assert [(group.num_rows, group.row_length) for group in groups] == [
        (2, 512),
        (2, 192),
        (1, 48),
        (2, 31),
        (1, 14),
    ]
    assert [group.mask is None for group in groups] == [True, False, False, True, True]
    assert [group.token_of_place is None for group in groups] == [True, False, False, True, True]
    mask = groups[1].mask
    assert mask is not None
    assert tuple(mask.shape) == (2, 1, 1, 192)
    assert mask.eq(0).sum(dim=-1).flatten().tolist() == [190, 177]


def test_layers_of_a_batch_share_one_plan() -> None:
    assert row_groups((7, 100)) is row_groups((7, 100))


def test_neighbours_that_are_not_finite_do_no_harm() -> None:
    lengths = [45, 40, 20, 20]
    qkv = random_qkv(sum(lengths))
    expected = rows_attention(*qkv, tuple(lengths))
    for x in qkv:
        x[45:85] = x[105:] = torch.nan
    found = rows_attention(*qkv, tuple(lengths))
    assert torch.equal(found[:45], expected[:45])
    assert torch.equal(found[85:105], expected[85:105])


@pytest.mark.skipif(
    not (has_amx() and has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16))), reason="no AMX on this CPU"
)
def test_it_is_what_runs_where_there_are_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [100, 100, 40, 3]
    qkv = random_qkv(sum(lengths))
    batch = PackedBatch.from_lengths(torch.zeros(sum(lengths), dtype=torch.long), lengths, pad_token_id=1)
    calls = count_calls(monkeypatch, dispatch, "rows_attention")
    dispatch.packed_attention(*qkv, batch, is_causal=True)
    dispatch.packed_attention(*(x.float() for x in qkv), batch)
    with torch.enable_grad():
        dispatch.packed_attention(*qkv, batch)
    assert not calls
    with torch.inference_mode():
        dispatch.packed_attention(*qkv, batch)
        assert dispatch.attention_kernel(qkv[0]) == "amx rows"
    assert len(calls) == 1
    assert len(row_groups(tuple(lengths))) == 3  # of 112, 48 and 3 places

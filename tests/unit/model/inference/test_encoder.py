"""The fused form of a trunk against its plain form, on one rank and several, and that it is what runs."""

import copy
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model import PackedBatch, ShardGroup, XLMRobertaXLConfig, XLMRobertaXLModel
from model.inference import amx_layer
from model.inference.encoder import InferenceEncoder
from model.inference.linear import CPU_SLICE_TOKENS, InferenceLinear
from model.kernels import packed_attention as attention
from model.kernels.amx import kernels as amx_kernels
from model.kernels.amx.library import _library, runs_amx_kernels
from model.kernels.hardware import has_onednn_bf16
from model.kernels.packed_attention import MIN_PRODUCT_LENGTH
from tests.call_counts import count_calls
from tests.distributed.processes import run_on_ranks

TINY = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 600,
}
LENGTHS = [5, 5, 40, 400, 33, 598, 31, 300, 1]
needs_onednn_bf16 = pytest.mark.skipif(
    not has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16)), reason="oneDNN without bf16"
)

needs_amx_kernels = pytest.mark.skipif(
    not runs_amx_kernels(torch.empty(0, dtype=torch.bfloat16)), reason="no AMX on this CPU, or no gcc"
)


def random_trunk(dtype: torch.dtype, **options: Any) -> XLMRobertaXLModel:
    torch.manual_seed(0)
    trunk = XLMRobertaXLModel(XLMRobertaXLConfig(**{**TINY, **options})).eval()
    for name, parameter in trunk.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return trunk.to(dtype)


def a_batch() -> PackedBatch:
    ids = torch.randint(4, 100, (sum(LENGTHS),), generator=torch.Generator().manual_seed(0))
    return PackedBatch.from_lengths(ids, LENGTHS, pad_token_id=1)


def kernels_of(trunk: XLMRobertaXLModel) -> dict[str, str]:
    assert trunk.fused is not None
    return trunk.fused.kernel_names()


@torch.inference_mode()
def fused_and_plain(trunk: XLMRobertaXLModel) -> tuple[Tensor, Tensor]:
    plain = trunk.forward_packed(a_batch())
    trunk.fuse()
    return trunk.forward_packed(a_batch()), plain


@pytest.mark.parametrize(
    "options",
    [{}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"is_decoder": True}, {"pruned_heads": {1: [0, 2]}}],
    ids=str,
)
def test_in_fp32_the_fused_form_is_the_plain_one(options: dict[str, Any]) -> None:
    fused, plain = fused_and_plain(random_trunk(torch.float32, **options))
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)


@needs_onednn_bf16
@pytest.mark.parametrize("options", [{}, {"hidden_act": "relu"}, {"is_decoder": True}], ids=str)
def test_in_bf16_the_fused_form_is_as_near_to_fp32_as_the_plain_one(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a CPU without AMX has it."""
    monkeypatch.setattr("model.kernels.packed_attention.has_amx", lambda: False)
    monkeypatch.setattr("model.inference.amx_layer.runs_amx_kernels", lambda tensor: False)
    trunk = random_trunk(torch.bfloat16, **options)
    with torch.inference_mode():
        exact = copy.deepcopy(trunk).float().forward_packed(a_batch())
    slices = count_calls(monkeypatch, InferenceEncoder, "fill_")
    linears = count_calls(monkeypatch, InferenceLinear, "forward")
    products = count_calls(monkeypatch, attention, "attention_of_products")
    fused, plain = fused_and_plain(trunk)
    assert (fused - exact).abs().mean() <= 1.1 * (plain - exact).abs().mean()
    assert (fused - exact).abs().max() <= 2 * (plain - exact).abs().max()
    num_slices = 2
    assert len(slices) == num_slices
    assert len(linears) == 4 * TINY["num_hidden_layers"] * num_slices
    assert kernels_of(trunk) == {
        "linear": "prepacked",
        "attention": "sdpa" if options.get("is_decoder") else "products",
        "norm": "torch_add_norm",
    }
    num_long = sum(n >= MIN_PRODUCT_LENGTH for n in LENGTHS)
    # The plain form attends in the same way.
    num_products = 0 if options.get("is_decoder") else 2 * num_long * TINY["num_hidden_layers"]
    assert len(products) == num_products


@needs_amx_kernels
@pytest.mark.parametrize("options", [{}, {"is_decoder": True}, {"pruned_heads": {1: [0, 2, 3]}}], ids=str)
def test_in_tiles_the_fused_form_is_as_near_to_fp32_as_the_plain_one(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = random_trunk(torch.bfloat16, **options)
    with torch.inference_mode():
        exact = copy.deepcopy(trunk).float().forward_packed(a_batch())
    slices = count_calls(monkeypatch, InferenceEncoder, "fill_")
    linears = count_calls(monkeypatch, amx_kernels.AmxLinear, "forward")
    attentions, norms, embeddings = (
        count_calls(monkeypatch, amx_layer, name) for name in ("amx_attention", "add_norm_into", "embed_into")
    )
    fused, plain = fused_and_plain(trunk)
    assert (fused - exact).abs().mean() <= 1.1 * (plain - exact).abs().mean()
    assert (fused - exact).abs().max() <= 2 * (plain - exact).abs().max()
    assert kernels_of(trunk) == {"linear": "AmxLinear", "attention": "amx", "norm": "normalise_"}
    num_layers = TINY["num_hidden_layers"]
    assert len(slices) == len(embeddings) == 1
    assert len(linears) == 4 * num_layers
    assert len(attentions) == num_layers
    assert len(norms) == 2 * num_layers + 1


@needs_amx_kernels
@pytest.mark.parametrize("hidden_size", [64, 80])
def test_in_tiles_slices_are_what_the_whole_is(hidden_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a slice's rows begin anywhere in memory."""
    whole, _ = fused_and_plain(random_trunk(torch.bfloat16, hidden_size=hidden_size, num_attention_heads=1))
    monkeypatch.setattr("model.inference.encoder.AMX_SLICE_TOKENS", 300)
    slices = count_calls(monkeypatch, InferenceEncoder, "fill_")
    sliced, _ = fused_and_plain(random_trunk(torch.bfloat16, hidden_size=hidden_size, num_attention_heads=1))
    assert len(slices) > 2
    assert torch.equal(sliced, whole)


@needs_amx_kernels
@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (torch.float32, {}),
        (torch.bfloat16, {"hidden_act": "relu"}),
        (torch.bfloat16, {"hidden_size": 72, "num_attention_heads": 3}),
    ],
    ids=str,
)
def test_layers_that_no_kernel_fits_run_without_tiles(dtype: torch.dtype, options: dict[str, Any]) -> None:
    trunk = random_trunk(dtype, **options)
    fused, plain = fused_and_plain(trunk)
    torch.testing.assert_close(fused, plain, rtol=0.1, atol=0.1)
    assert kernels_of(trunk)["linear"] in ("prepacked", "InferenceLinear")


def test_fp32_takes_no_bf16_path() -> None:
    trunk = random_trunk(torch.float32)
    fused_and_plain(trunk)
    assert kernels_of(trunk) == {"linear": "InferenceLinear", "attention": "sdpa", "norm": "torch_add_norm"}


def saved_trunk(directory: Path, dtype: torch.dtype) -> Tensor:
    """Saves a trunk for ranks to load; returns what it computes on one."""
    trunk = random_trunk(dtype)
    trunk.save_pretrained(directory)
    return fused_and_plain(trunk)[1]


def _trunk_of_rank(group: ShardGroup, directory: Path) -> XLMRobertaXLModel:
    return XLMRobertaXLModel.from_pretrained(directory, group=group, add_pooling_layer=False)


def _of_rank(group: ShardGroup, directory: Path) -> Tensor:
    return fused_and_plain(_trunk_of_rank(group, directory))[0]


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_fused_ranks_agree_with_one(num_ranks: int, tmp_path: Path) -> None:
    """Four heads over three ranks: shares of the heads are not equal."""
    expected = saved_trunk(tmp_path, torch.float32)
    for found in run_on_ranks(num_ranks, _of_rank, tmp_path):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_onednn_bf16
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_fused_ranks_agree_with_one_in_bf16(num_ranks: int, tmp_path: Path) -> None:
    """Of three ranks, two have a head of 16 numbers: half a step of a product."""
    expected = saved_trunk(tmp_path, torch.bfloat16)
    for found in run_on_ranks(num_ranks, _of_rank, tmp_path):
        assert (found - expected).abs().mean() < 0.01


def _of_rank_that_may_lack_gcc(group: ShardGroup, directory: Path) -> tuple[Tensor, str]:
    if group.rank == 1:
        os.environ["PATH"] = os.environ["XDG_CACHE_HOME"] = "/nowhere"
        _library.cache_clear()
    trunk = _trunk_of_rank(group, directory)
    return fused_and_plain(trunk)[0], kernels_of(trunk)["linear"]


@needs_amx_kernels
def test_if_one_rank_has_no_tiles_none_uses_them(tmp_path: Path) -> None:
    expected = saved_trunk(tmp_path, torch.bfloat16)
    for found, linear in run_on_ranks(2, _of_rank_that_may_lack_gcc, tmp_path):
        assert (found - expected).abs().mean() < 0.01
        assert linear == "prepacked"


def test_a_fused_trunk_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    trunk = random_trunk(torch.float32)
    trunk.fuse()
    with pytest.raises(ValueError, match="fused computes packed batches only"):
        trunk(torch.ones(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="fused cannot be saved"):
        trunk.save_pretrained(tmp_path)


def test_slices_hold_whole_sequences_in_order() -> None:
    batch = a_batch()
    parts = batch.split(CPU_SLICE_TOKENS)
    assert [part.lengths for part in parts] == [(5, 5, 40, 400, 33), (598, 31, 300, 1)]
    assert torch.equal(torch.cat([part.input_ids for part in parts]), batch.input_ids)
    for part in parts:
        again = PackedBatch.from_lengths(part.input_ids, part.lengths, pad_token_id=1)
        assert torch.equal(part.cu_seqlens, again.cu_seqlens)
        assert torch.equal(part.position_ids, again.position_ids)
    filled = batch.padded_to_multiple(16, pad_token_id=1)
    again = PackedBatch.from_lengths(filled.input_ids, [*LENGTHS, 11], pad_token_id=1)
    assert filled.lengths == again.lengths
    assert filled.input_ids.tolist() == [*batch.input_ids.tolist(), *[1] * 11]
    assert torch.equal(filled.position_ids, again.position_ids)
    assert torch.equal(filled.cu_seqlens, again.cu_seqlens)
    assert again.padded_to_multiple(16, pad_token_id=1) is again
    assert [part.lengths for part in batch.split(1)] == [(n,) for n in LENGTHS]
    assert PackedBatch.from_sequences([], pad_token_id=1).split(10) == []


@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=60), num_tokens=st.integers(1, 2000))
def test_slices_are_few_and_about_equally_long(lengths: list[int], num_tokens: int) -> None:
    ids = torch.zeros(sum(lengths), dtype=torch.long)
    parts = PackedBatch.from_lengths(ids, lengths, pad_token_id=1).split(num_tokens)
    assert [n for part in parts for n in part.lengths] == lengths
    share = sum(lengths) / -(-sum(lengths) // num_tokens)
    assert len(parts) <= math.ceil(sum(lengths) / num_tokens)
    assert max(sum(part.lengths) for part in parts) <= share + max(lengths)

"""The kernels in tiles against float64, and that a row's results depend on no other row."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model import PackedBatch, XLMRobertaXLConfig, XLMRobertaXLModel
from model.inference import amx_layer
from model.inference.amx_layer import embed_, normalise_
from model.kernels.amx.kernels import AmxInt8Linear, AmxLinear, Blocks, Workspace, add_norm_into, amx_attention
from model.kernels.amx.library import runs_amx_kernels
from tests.call_counts import count_calls

pytestmark = pytest.mark.skipif(
    not runs_amx_kernels(torch.empty(0, dtype=torch.bfloat16)), reason="no AMX on this CPU, or no gcc"
)

HALF_ULP = 2.0**-8
LENGTHS = st.lists(st.one_of(st.integers(1, 70), st.sampled_from([96, 200, 512])), min_size=1, max_size=6)
# rows, features, outputs: odd ones, several panels of rows, features in chunks of several sizes.
SHAPES = [
    (1, 32, 32),
    (5, 33, 17),
    (37, 80, 112),
    (33, 2560, 96),
    (450, 2560, 64),
    (70, 4128, 40),
    (300, 10240, 48),
]


def random(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).mul_(scale).bfloat16()


def in_blocks(x_TD: Tensor) -> Blocks:
    """Rows in blocks, by torch; what is left over is not finite, and must not matter."""
    num_rows, num_features = x_TD.shape
    filled = F.pad(x_TD, (0, -num_features % 32))
    filled = F.pad(filled, (0, 0, 0, -num_rows % 32), value=torch.nan)
    data = filled.unflatten(0, (-1, 32)).unflatten(2, (-1, 32)).transpose(1, 2).contiguous()
    return Blocks(data.view(torch.uint8).flatten(), num_rows, num_features)


def rows_of(blocks: Blocks) -> Tensor:
    """Rows in blocks as a matrix, by torch."""
    data = blocks.data.view(torch.bfloat16).view(-1, -(-blocks.num_features // 32), 32, 32)
    return data.transpose(1, 2).flatten(2).flatten(0, 1)[: blocks.num_rows, : blocks.num_features]


def product(layer: AmxLinear | AmxInt8Linear, x: Blocks, num_outputs: int) -> Tensor:
    rows: Tensor = layer(x, Workspace().rows("y", x.num_rows, num_outputs))
    return rows


def product_in_blocks(layer: AmxLinear, x: Blocks, num_outputs: int) -> Blocks:
    blocks: Blocks = layer(x, Workspace().blocks("y", x.num_rows, num_outputs))
    return blocks


def attend(qkv_TA: Tensor, lengths: list[int], head_size: int, *, is_causal: bool) -> Tensor:
    context = Workspace().blocks("context", len(qkv_TA), qkv_TA.shape[1] // 3)
    return rows_of(amx_attention(in_blocks(qkv_TA), tuple(lengths), head_size, context, is_causal=is_causal))


def assert_rounded(found: Tensor, exact: Tensor, *, atol: float) -> None:
    """`found` is `exact` in bf16, but for the last bit of a sum in fp32."""
    assert (found.double() - exact).abs().le(1.01 * HALF_ULP * exact.abs() + atol).all()


def test_blocks_hold_rows() -> None:
    x = random(70, 90, seed=0)
    assert torch.equal(rows_of(in_blocks(x)), x)
    assert in_blocks(x).data.shape == Workspace().blocks("x", 70, 90).data.shape


def test_workspace_is_used_again_and_grows() -> None:
    workspace = Workspace()
    large, small = workspace.rows("x", 30, 50), workspace.blocks("x", 1, 7)
    assert large.data_ptr() == small.data.data_ptr()
    assert workspace.rows("y", 1, 1).data_ptr() != large.data_ptr()
    assert workspace.rows("x", 300, 50).shape == (300, 50)


def test_workspace_of_inference_mode_serves_others() -> None:
    workspace = Workspace()
    with torch.inference_mode():
        workspace.blocks("context", 40, 48)
    workspace.blocks("context", 33, 48).data.zero_()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_bias", [True, False])
def test_linear_is_the_product(shape: tuple[int, int, int], has_bias: bool) -> None:
    num_rows, num_features, num_outputs = shape
    x, weight = random(num_rows, num_features, seed=0), random(num_outputs, num_features, seed=1)
    bias = random(num_outputs, seed=2) if has_bias else None
    found = product(AmxLinear(weight, bias), in_blocks(x), num_outputs)
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    assert_rounded(found, exact, atol=1e-6 * num_features)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_activated_results_are_in_blocks_and_filled_up_with_zeros(shape: tuple[int, int, int]) -> None:
    num_rows, num_features, num_outputs = shape
    x, weight = random(num_rows, num_features, seed=0), random(num_outputs, num_features, seed=1, scale=0.02)
    bias = random(num_outputs, seed=2)
    found = product_in_blocks(AmxLinear(weight, bias, is_activated=True), in_blocks(x), num_outputs)
    exact = F.gelu(F.linear(x.double(), weight.double(), bias.double()))
    assert_rounded(rows_of(found), exact, atol=1e-5)
    filled = found._replace(num_features=num_outputs + -num_outputs % 32)
    assert rows_of(filled)[:, num_outputs:].eq(0).all()


def test_gelu_keeps_its_precision_in_the_tail() -> None:
    x = torch.linspace(-11, 11, 32 * 500).bfloat16().view(-1, 32)
    layer = AmxLinear(torch.eye(32).bfloat16(), None, is_activated=True)
    found = rows_of(product_in_blocks(layer, in_blocks(x), 32))
    exact = x.double() * torch.special.ndtr(x.double())
    assert (found.double() - exact).abs().le(HALF_ULP * 1.1 * exact.abs() + 1e-8).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_int8_product_is_that_of_its_codes(shape: tuple[int, int, int]) -> None:
    num_rows, num_features, num_outputs = shape
    x, weight = random(num_rows, num_features, seed=0), random(num_outputs, num_features, seed=1)
    x *= torch.logspace(-3, 2, num_rows)[:, None]
    weight[0] = 0
    bias = random(num_outputs, seed=2)
    found = product(AmxInt8Linear(weight, bias, workspace=Workspace()), in_blocks(x.bfloat16()), num_outputs)
    scale_T1 = x.abs().amax(dim=1, keepdim=True).float() / 127
    scale_O1 = (weight.abs().amax(dim=1, keepdim=True).float() / 127).clamp(min=1e-30)
    # The kernel multiplies with the scale's inverse: a number in the middle of two codes may get either.
    codes_TI = (x.float() * (1 / scale_T1)).round()
    codes_OI = (weight / scale_O1).round()
    exact = F.linear(codes_TI.double(), codes_OI.double()) * scale_T1.double() * scale_O1.double().t() + bias
    assert_rounded(found, exact, atol=2e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_int8_results_in_blocks_are_those_in_rows(shape: tuple[int, int, int]) -> None:
    num_rows, num_features, num_outputs = shape
    x, weight = in_blocks(random(num_rows, num_features, seed=0)), random(num_outputs, num_features, seed=1)
    layer = AmxInt8Linear(weight, random(num_outputs, seed=2), workspace=Workspace(), is_activated=True)
    found = layer(x, Workspace().blocks("y", num_rows, num_outputs))
    assert isinstance(found, Blocks)
    assert torch.equal(rows_of(found), product(layer, x, num_outputs))
    filled = found._replace(num_features=num_outputs + -num_outputs % 32)
    assert rows_of(filled)[:, num_outputs:].eq(0).all()


def test_gelu_of_extremes() -> None:
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 3e38, -3e38, 0.0, -0.0, 13, -13]).bfloat16()[:, None]
    layer = AmxLinear(torch.ones(1, 1).bfloat16(), None, is_activated=True)
    found = rows_of(product_in_blocks(layer, in_blocks(x), 1))
    expected = torch.where(x == -torch.inf, 0, F.gelu(x.double()))  # torch: -inf * 0
    torch.testing.assert_close(found, expected.bfloat16(), equal_nan=True)


@pytest.mark.parametrize("place", [0, 40, 99])
def test_a_row_with_nan_stays_so_in_int8(place: int) -> None:
    x = random(3, 100, seed=0)
    x[1, place] = torch.nan
    found = product(AmxInt8Linear(random(32, 100, seed=1), None, workspace=Workspace()), in_blocks(x), 32)
    assert found.isnan().all(dim=1).tolist() == [False, True, False]
    assert not found[[0, 2]].isnan().any()


def test_int8_rows_of_zeros_give_the_bias() -> None:
    bias = random(32, seed=0)
    layer = AmxInt8Linear(random(32, 64, seed=1), bias, workspace=Workspace())
    found = product(layer, in_blocks(torch.zeros(3, 64).bfloat16()), 32)
    assert torch.equal(found, bias.expand(3, -1))


@pytest.mark.parametrize(
    "linear", [AmxLinear, partial(AmxInt8Linear, workspace=Workspace())], ids=["bf16", "int8"]
)
def test_a_row_depends_on_no_other(linear: Callable[..., AmxLinear | AmxInt8Linear]) -> None:
    x = random(450, 4128, seed=0)
    layer = linear(random(96, 4128, seed=1), random(96, seed=2))
    among_others = product(layer, in_blocks(x), 96)
    alone = product(layer, in_blocks(x[123:125]), 96)
    assert torch.equal(among_others[123:125], alone)
    x[200] = torch.nan
    beside_nan = product(layer, in_blocks(x), 96)
    assert torch.equal(beside_nan[:200], among_others[:200])
    assert torch.equal(beside_nan[201:], among_others[201:])


def a_model(hidden_size: int) -> XLMRobertaXLModel:
    config = XLMRobertaXLConfig(
        vocab_size=300,
        hidden_size=hidden_size,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    torch.manual_seed(0)
    return XLMRobertaXLModel(config).bfloat16().eval()


def a_batch(lengths: list[int]) -> PackedBatch:
    ids = torch.randint(300, (sum(lengths),), generator=torch.Generator().manual_seed(0))
    return PackedBatch.from_lengths(ids, lengths, pad_token_id=1)


@pytest.mark.parametrize("hidden_size", [8, 80, 2560])
def test_embeddings_are_those_of_torch(hidden_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, batch = a_model(hidden_size).embeddings, a_batch([512, 1, 40])
    around = torch.full((555, hidden_size), -7.0).bfloat16()
    calls = count_calls(monkeypatch, amx_layer, "embed_into")
    with torch.no_grad():
        embed_(around[1:-1], embeddings, batch)
        assert torch.equal(around[1:-1], embeddings.forward_packed(batch))
    assert around[[0, -1]].eq(-7).all()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_ids": torch.tensor([0, 300, 2])}, r"token ids must be in \[0, 300\), found 0 to 300"),
        ({"input_ids": torch.tensor([0, -1, 2])}, "found -1 to 2"),
        ({"position_ids": torch.tensor([2, 3, 514])}, r"position ids must be in \[0, 514\), found 2 to 514"),
    ],
)
def test_ids_of_no_row_are_refused(changes: dict[str, Any], message: str) -> None:
    batch = replace(a_batch([3]), **changes)
    with torch.no_grad(), pytest.raises(IndexError, match=message):
        embed_(torch.empty(3, 80).bfloat16(), a_model(80).embeddings, batch)


@pytest.mark.parametrize("shape", [(1, 16), (33, 80), (70, 112), (100, 2560)], ids=str)
@pytest.mark.parametrize("has_added", [True, False])
def test_add_norm_adds_in_place_and_normalises(shape: tuple[int, int], has_added: bool) -> None:
    hidden, added = random(*shape, seed=0, scale=5), random(*shape, seed=1)
    norm = nn.LayerNorm(shape[1], eps=1e-5).bfloat16()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    total = hidden + added if has_added else hidden.clone()
    with torch.inference_mode():
        normed = Workspace().blocks("normed", *shape)
        add_norm_into(hidden, added if has_added else None, norm, normed)
    assert torch.equal(hidden, total)
    exact = F.layer_norm(total.double(), shape[1:], norm.weight.double(), norm.bias.double(), norm.eps)
    assert_rounded(rows_of(normed), exact, atol=1e-5)
    filled = normed._replace(num_features=shape[1] + -shape[1] % 32)
    assert rows_of(filled)[:, shape[1] :].eq(0).all()


@pytest.mark.parametrize("shape", [(1, 8), (33, 80), (70, 112), (100, 2560)], ids=str)
def test_add_norm_in_rows_is_that_in_blocks(shape: tuple[int, int]) -> None:
    around, added = random(shape[0] + 2, shape[1], seed=0, scale=5), random(*shape, seed=1)
    before, hidden = around[[0, -1]], around[1:-1]
    norm = nn.LayerNorm(shape[1]).bfloat16()
    normed = Workspace().blocks("normed", *shape)
    with torch.inference_mode():
        add_norm_into(hidden.clone(), added, norm, normed)
        normalise_(hidden, added, norm)
    assert torch.equal(hidden, rows_of(normed))
    assert torch.equal(around[[0, -1]], before)


def of_each_sequence(qkv: Tensor, lengths: list[int], *, is_causal: bool) -> Tensor:
    """Attention of one sequence after the other, `[T, N, K]`."""
    outputs = []
    for part_L3NK in qkv.split(lengths):
        q, k, v = part_L3NK.permute(1, 2, 0, 3)[:, None]
        outputs.append(F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)[0].transpose(0, 1))
    return torch.cat(outputs)


@settings(max_examples=25, deadline=None)
@given(LENGTHS, st.sampled_from([(2, 16), (3, 80), (1, 128), (1, 48)]), st.booleans())
@example([512, 511, 33, 32, 31, 17, 16, 15, 1], (2, 80), False)
@example([512, 511, 33, 32, 31, 17, 16, 15, 1], (2, 80), True)
def test_each_sequence_attends_to_itself(lengths: list[int], heads: tuple[int, int], is_causal: bool) -> None:
    num_tokens, (num_heads, head_size) = sum(lengths), heads
    qkv = random(num_tokens, 3, num_heads, head_size, seed=num_tokens, scale=2)
    found = attend(qkv.flatten(1), lengths, head_size, is_causal=is_causal).unflatten(1, heads)
    exact = of_each_sequence(qkv.double(), lengths, is_causal=is_causal)
    plain = of_each_sequence(qkv, lengths, is_causal=is_causal)
    assert (found - exact).abs().mean() <= 1.2 * (plain - exact).abs().mean() + 1e-6
    torch.testing.assert_close(found.double(), exact, rtol=0.05, atol=0.05)


def test_sequences_that_are_not_finite_do_their_neighbours_no_harm() -> None:
    lengths = [45, 40, 20, 70]
    qkv = random(sum(lengths), 3 * 2 * 80, seed=0)
    expected = attend(qkv, lengths, 80, is_causal=False)
    qkv[45:85] = qkv[105:] = torch.nan
    found = attend(qkv, lengths, 80, is_causal=False)
    assert torch.equal(found[:45], expected[:45])
    assert torch.equal(found[85:105], expected[85:105])
    assert found[45:85].isnan().all()


def test_results_are_the_same_on_any_number_of_threads() -> None:
    layer = AmxLinear(random(200, 4128, seed=1), random(200, seed=2), is_activated=True)
    x, qkv = in_blocks(random(450, 4128, seed=0)), random(240, 3 * 3 * 80, seed=3)
    num_threads = torch.get_num_threads()
    results = []
    for n in (1, 3):
        torch.set_num_threads(n)
        results.append((product(layer, x, 200), attend(qkv, [40, 200], 80, is_causal=False)))
    torch.set_num_threads(num_threads)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)

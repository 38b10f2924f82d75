"""Eight-bit layers against products of their own codes in float64, and a quantized trunk against its fp32."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from model import PackedBatch, ShardGroup, XLMRobertaXLConfig, XLMRobertaXLModel
from model.config import Activation
from model.inference.float8_linear import Float8Linear
from model.inference.int8_linear import Int8Linear
from model.inference.quantization import Quantization
from model.kernels.amx.kernels import AmxInt8Linear
from model.kernels.amx.library import runs_amx_kernels
from model.kernels.float8 import emulated_scaled_product, quantize_float8, scaled_product
from model.kernels.int8 import quantize_uint8
from tests.distributed.processes import run_on_ranks

LENGTHS = [5, 40, 400, 33, 598, 300, 1]
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no AVX-512 VNNI")
both = pytest.mark.parametrize("quantization", [pytest.param("int8", marks=needs_vnni), "float8"])


def random_matrix(num_rows: int, num_columns: int, *, seed: int) -> Tensor:
    """bf16, rows of very different size, a row of zeros, and a number that is far larger than its neighbours."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(num_rows, num_columns, generator=generator)
    matrix *= torch.logspace(-3, 2, num_rows)[:, None]
    matrix[1] = 0
    matrix[2, 3] = 50 * matrix[2].abs().max()
    return matrix.bfloat16()


def round_trip_error(x: Tensor, decoded: Tensor) -> Tensor:
    """Largest error of each row, in relation to the row's largest number."""
    largest = x.double().abs().amax(dim=1).clamp(min=1e-30)
    return (decoded - x.double()).abs().amax(dim=1) / largest


@pytest.mark.parametrize("shape", [(7, 16), (300, 2560), (70, 10240)], ids=str)
def test_int8_codes_are_within_half_a_step(shape: tuple[int, int]) -> None:
    x = random_matrix(*shape, seed=0)
    codes, scale = quantize_uint8(x)
    assert codes.dtype == torch.uint8
    assert scale.dtype == x.dtype
    assert int(codes.min()) >= 1
    decoded = (codes.double() - 128) * scale.double()
    # The scale is rounded up by at most a 128th.
    assert round_trip_error(x, decoded).max() <= 0.5 / 127 * (1 + 2**-6)
    assert torch.equal(codes[1], torch.full_like(codes[1], 128))


def test_float8_codes_are_within_half_a_step() -> None:
    x = random_matrix(300, 2560, seed=0)
    codes, scale = quantize_float8(x)
    decoded = codes.double() * scale.double()
    # Three bits behind the first one; small numbers share the step of the smallest normal one.
    error = (decoded - x.double()).abs()
    assert (error <= 2**-4 * x.double().abs() + 2**-10 * scale.double()).all()
    assert decoded[1].eq(0).all()


def operands(has_bias: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias."""
    bias = torch.randn(64, generator=torch.Generator().manual_seed(2)).bfloat16() if has_bias else None
    return random_matrix(50, 96, seed=0), random_matrix(64, 96, seed=1), bias


@needs_vnni
@pytest.mark.parametrize("has_bias", [True, False])
def test_int8_product_is_that_of_its_codes(has_bias: bool) -> None:
    x, weight, bias = operands(has_bias)
    found = Int8Linear(weight, bias)(x)
    codes, scale = quantize_uint8(x)
    weight_scale = (weight.abs().amax(dim=1, keepdim=True).float() / 127).clamp(min=1e-30)
    weight_codes = (weight / weight_scale).round()
    exact = ((codes.double() - 128) @ weight_codes.double().t()) * scale.double() * weight_scale.double().t()
    if bias is not None:
        exact += bias.double()
    assert found.dtype == torch.bfloat16
    # Two roundings to bf16.
    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=2**-7 if has_bias else 0)


@pytest.mark.parametrize("has_bias", [True, False])
def test_float8_product_is_that_of_its_codes(has_bias: bool) -> None:
    x, weight, bias = operands(has_bias)
    found = Float8Linear(weight, bias)(x)
    (codes, scale), (weight_codes, weight_scale) = quantize_float8(x), quantize_float8(weight)
    exact = (codes.double() @ weight_codes.double().t()) * scale.double() * weight_scale.double().t()
    if bias is not None:
        exact += bias.double()
    size = exact.abs().amax(dim=1, keepdim=True)
    assert ((found.double() - exact).abs() <= 2**-7 * size + 1e-6).all()


@pytest.mark.skipif(TorchVersion(torch.__version__) < "2.13", reason="2.11 has no such product on a CPU")
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_emulated_float8_product_is_that_of_torch(has_bias: bool) -> None:
    x, weight, bias = operands(has_bias)
    (codes, scale), (weight_codes, weight_scale) = quantize_float8(x), quantize_float8(weight)
    product = codes, scale, weight_codes.t(), weight_scale.t(), bias
    torch.testing.assert_close(emulated_scaled_product(*product), scaled_product(*product), rtol=2**-7, atol=1e-3)


@needs_vnni
def test_an_activation_follows_in_int8() -> None:
    x, weight, bias = random_matrix(20, 32, seed=0), random_matrix(48, 32, seed=1), torch.ones(48).bfloat16()
    assert torch.equal(Int8Linear(weight, bias, F.gelu)(x), F.gelu(Int8Linear(weight, bias)(x)))


def test_an_activation_precedes_in_float8() -> None:
    x, weight, bias = random_matrix(20, 32, seed=0), random_matrix(48, 32, seed=1), torch.ones(48).bfloat16()
    assert torch.equal(Float8Linear(weight, bias, before=F.gelu)(x), Float8Linear(weight, bias)(F.gelu(x)))


@pytest.mark.parametrize("before", [None, F.relu])
def test_float8_layers_take_codes_in_place_of_numbers(before: Activation | None) -> None:
    x, weight, bias = random_matrix(20, 32, seed=0), random_matrix(48, 32, seed=1), torch.ones(48).bfloat16()
    layer = Float8Linear(weight, bias, before=before)
    assert torch.equal(layer(quantize_float8(x if before is None else before(x))), layer(x))


def a_trunk(intermediate_size: int = 384) -> XLMRobertaXLModel:
    torch.manual_seed(0)
    config = XLMRobertaXLConfig(
        vocab_size=100, hidden_size=256, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=intermediate_size, max_position_embeddings=600, initializer_range=0.05,
    )  # fmt: skip
    return XLMRobertaXLModel(config, add_pooling_layer=False).eval().bfloat16()


def a_batch(lengths: list[int]) -> PackedBatch:
    ids = torch.randint(4, 100, (sum(lengths),), generator=torch.Generator().manual_seed(0))
    return PackedBatch.from_lengths(ids, lengths, pad_token_id=1)


# Of the hidden states, in relation to their own size.
MAX_ERROR: dict[Quantization, float] = {"int8": 0.03, "float8": 0.08}


@both
def test_a_quantized_trunk_is_near_to_fp32(quantization: Quantization) -> None:
    trunk, batch = a_trunk(), a_batch(LENGTHS)
    with torch.inference_mode():
        exact = copy.deepcopy(trunk).float().forward_packed(batch)
        trunk.fuse(quantization)
        found = trunk.forward_packed(batch).float()
    assert_near(quantization, found, exact)
    uses_amx = quantization == "int8" and runs_amx_kernels(trunk.embeddings.word_embeddings.weight)
    linear = AmxInt8Linear if uses_amx else Int8Linear if quantization == "int8" else Float8Linear
    assert num_linears(trunk, linear) == 4 * 3


@needs_vnni
def test_a_quantized_trunk_without_tiles_is_near_to_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.inference.amx_layer.runs_amx_kernels", lambda tensor: False)
    trunk, batch = a_trunk(), a_batch(LENGTHS)
    with torch.inference_mode():
        exact = copy.deepcopy(trunk).float().forward_packed(batch)
        trunk.fuse("int8")
        found = trunk.forward_packed(batch).float()
    assert_near("int8", found, exact)
    assert num_linears(trunk, Int8Linear) == 4 * 3


def num_linears(trunk: XLMRobertaXLModel, kind: type[nn.Module]) -> int:
    """Products of the layers that this kind of module computes."""
    assert trunk.fused is not None
    return sum(isinstance(module, kind) for module in trunk.fused.modules())


def assert_near(quantization: Quantization, found: Tensor, exact: Tensor) -> None:
    error = ((found - exact).norm() / exact.norm()).item()
    assert 0.003 < error < MAX_ERROR[quantization]


@both
def test_a_sequence_does_not_depend_on_its_neighbours(quantization: Quantization) -> None:
    trunk, batch = a_trunk(), a_batch(LENGTHS)
    trunk.fuse(quantization)
    with torch.inference_mode():
        together = trunk.forward_packed(batch)
        begin = 0
        for length in LENGTHS:
            ids = batch.input_ids[begin : begin + length]
            alone = trunk.forward_packed(PackedBatch.from_lengths(ids, [length], pad_token_id=1))
            torch.testing.assert_close(alone, together[begin : begin + length], rtol=2e-2, atol=2e-2)
            begin += length


def _of_rank(group: ShardGroup, directory: Path, quantization: Quantization) -> Tensor:
    trunk = XLMRobertaXLModel.from_pretrained(directory, group=group, add_pooling_layer=False)
    trunk.fuse(quantization)
    with torch.inference_mode():
        return trunk.forward_packed(a_batch([40, 5, 70])).float()


@both
def test_quantized_ranks_agree_with_fp32(quantization: Quantization, tmp_path: Path) -> None:
    trunk = a_trunk()
    trunk.save_pretrained(tmp_path)
    with torch.inference_mode():
        exact = trunk.float().forward_packed(a_batch([40, 5, 70]))
    for found in run_on_ranks(2, _of_rank, tmp_path, quantization):
        assert (found - exact).norm() / exact.norm() < MAX_ERROR[quantization]


@both
def test_a_trunk_that_is_not_in_bf16_is_refused(quantization: Quantization) -> None:
    with pytest.raises(ValueError, match=f"{quantization} needs a trunk in bfloat16, found torch.float32"):
        a_trunk().float().fuse(quantization)


def test_sizes_that_float8_cannot_multiply_are_refused_and_the_trunk_stays_whole() -> None:
    trunk, batch = a_trunk(intermediate_size=24), a_batch([5])
    with torch.inference_mode():
        before = trunk.forward_packed(batch)
        with pytest.raises(ValueError, match=r"multiples of 16, found a weight of \[24, 256\]"):
            trunk.fuse("float8")
        assert torch.equal(trunk.forward_packed(batch), before)

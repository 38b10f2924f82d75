"""Projection with fp32 results against fp64, and when it multiplies in half precision."""

import pytest
import torch
import torch.nn.functional as F

from model.kernels.hardware import has_onednn_bf16
from model.kernels.linear_fp32 import linear_fp32, multiplies_in_half


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_linear_has_fp32_results(dtype: torch.dtype) -> None:
    x, weight, bias = (
        torch.randn(2, 3, 8, dtype=dtype),
        torch.randn(4, 8, dtype=dtype),
        torch.randn(4, dtype=dtype),
    )
    y = linear_fp32(x, weight, bias)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, F.linear(x.float(), weight.float(), bias.float()))
    torch.testing.assert_close(linear_fp32(x, weight, None), F.linear(x.float(), weight.float()))


@pytest.mark.skipif(not has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16)), reason="oneDNN without bf16")
def test_logits_of_bf16_are_as_exact_as_those_of_fp32() -> None:
    """At the width of XL and with logits of 60 in size, against fp64; bf16 logits would be off by 0.1."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 2560, generator=generator).bfloat16()
    weight = torch.randn(2000, 2560, generator=generator).mul_(0.4).bfloat16()
    bias = torch.randn(2000, generator=generator).bfloat16()
    exact = F.linear(x.double(), weight.double(), bias.double())
    assert exact.abs().max() > 58
    slow = linear_fp32(x, weight, bias)
    assert not multiplies_in_half(x, weight)
    with torch.inference_mode():
        fast = linear_fp32(x, weight, bias)
        half = F.linear(x, weight, bias)
        assert multiplies_in_half(x, weight)
    error = (fast - exact).abs().max()
    assert error < 1e-4
    assert error < 10 * (slow - exact).abs().max()
    assert (half - exact).abs().max() > 1000 * error
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"  # type: ignore[attr-defined]


def test_what_is_no_bf16_keeps_every_bit() -> None:
    x, weight = torch.randn(40, 64), torch.randn(30, 64)
    with torch.inference_mode():
        found = linear_fp32(x, weight, None)
        mixed = linear_fp32(x.bfloat16(), weight, None)
        assert not multiplies_in_half(x, weight)
        assert not multiplies_in_half(x.bfloat16(), weight)
    torch.testing.assert_close(found, F.linear(x, weight), rtol=0, atol=0)
    torch.testing.assert_close(mixed, F.linear(x.bfloat16().float(), weight), rtol=0, atol=0)

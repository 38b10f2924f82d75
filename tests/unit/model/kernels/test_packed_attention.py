"""Which kernel attends, for every device, dtype and mask; and the one of two products against float64."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from model.kernels import packed_attention
from model.kernels.hardware import has_onednn_bf16
from model.kernels.packed_attention import AttentionKernel, attention_kernel, attention_of_products

needs_onednn_bf16 = pytest.mark.skipif(
    not has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16)), reason="oneDNN without bf16"
)


@pytest.mark.parametrize(("has_amx", "expected"), [(True, "amx rows"), (False, "products")])
def test_kernels_of_a_cpu(has_amx: bool, expected: AttentionKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_attention, "has_onednn_bf16", lambda tensor: tensor.dtype == torch.bfloat16)
    monkeypatch.setattr(packed_attention, "has_amx", lambda: has_amx)
    queries = torch.empty(5, 2, 80)
    half = queries.bfloat16()
    assert attention_kernel(half) == "sdpa"  # with gradient
    with torch.no_grad():
        assert attention_kernel(half) == expected
        assert attention_kernel(half, is_causal=True) == "sdpa"
        assert attention_kernel(queries) == attention_kernel(queries.half()) == "sdpa"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("has_triton", [True, False])
def test_kernels_of_a_gpu(has_triton: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_attention, "runs_triton", lambda device: has_triton and device.type == "cuda")
    with FakeTensorMode():
        queries = torch.empty(5, 2, 80, dtype=dtype, device="cuda")
        narrow = torch.empty(5, 2, 8, dtype=dtype, device="cuda")
        assert attention_kernel(queries) == "varlen"  # with gradient
        with torch.no_grad():
            assert attention_kernel(queries) == ("triton" if has_triton else "varlen")
            assert attention_kernel(queries, is_causal=True) == attention_kernel(narrow) == "varlen"
            assert attention_kernel(queries.float()) == "sdpa"


@needs_onednn_bf16
@pytest.mark.parametrize("length", [1, 16, 33, 127, 128, 129, 512])
def test_attention_of_products_is_about_as_exact_as_that_of_torch(length: int) -> None:
    generator = torch.Generator().manual_seed(length)
    q, k, v = (torch.randn(6, length, 80, generator=generator).mul_(2).bfloat16() for _ in range(3))
    exact = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    with torch.inference_mode():
        found = attention_of_products(q, k, v)
        theirs = F.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    error = (found.transpose(0, 1) - exact).abs().mean()
    assert error <= 1.5 * (theirs - exact).abs().mean()

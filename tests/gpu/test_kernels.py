"""Each GPU kernel against the CPU's numbers or torch's own calls: attention, rows, pooling, projection to fp32."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import PackedBatch
from model.inference.encoder import torch_add_norm
from model.kernels import attention_gpu
from model.kernels.attention_cudnn import MIN_CAPABILITY, WINDOW_LENGTH
from model.kernels.attention_triton_tiles import tile_groups
from model.kernels.float8 import quantize_float8
from model.kernels.hardware import has_triton
from model.kernels.linear_fp32 import linear_fp32
from model.kernels.packed_attention import attention_kernel, packed_attention
from model.layers.heads import pool_max, pool_mean
from tests.call_counts import count_calls
from tests.gpu.batches import LENGTHS, to_cuda
from tests.oracle import assert_close

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # Said by torch's own compiler, which its attention loads.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


@pytest.mark.parametrize("head_size", [80, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("path", ["triton", "varlen", "causal"])
def test_attention_equals_the_cpu(
    path: str, dtype: torch.dtype, head_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "triton" and not has_triton():
        pytest.skip("no Triton")
    monkeypatch.setattr("model.kernels.packed_attention.runs_triton", lambda device: path != "varlen")
    lengths = [*LENGTHS, 16, 33, 130, 200]
    generator = torch.Generator().manual_seed(0)
    # As fused layers have them: three views of one matrix.
    qkv = torch.randn(sum(lengths), 3, 4, head_size, generator=generator).to(dtype)
    batch = PackedBatch.from_lengths(torch.zeros(len(qkv), dtype=torch.long), lengths, pad_token_id=1)
    is_causal = path == "causal"
    with torch.inference_mode():
        found = packed_attention(*qkv.cuda().unbind(1), to_cuda(batch), is_causal=is_causal)
        assert attention_kernel(qkv[:, 0].cuda(), is_causal=is_causal) == ("varlen" if is_causal else path)
        expected = packed_attention(*qkv.float().unbind(1), batch, is_causal=is_causal)
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert_close(found.float().cpu(), expected, tolerance=0.02 if dtype == torch.bfloat16 else 0.004)


needs_windows = pytest.mark.skipif(
    not torch.cuda.is_available() or not has_triton() or torch.cuda.get_device_capability() < MIN_CAPABILITY,
    reason="no attention in windows on this device",
)


@needs_windows
@pytest.mark.parametrize("head_size", [80, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_in_windows_equals_the_cpu_and_that_of_windows_alone(
    dtype: torch.dtype, head_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [512, 512, 512, 40, 512, 3, 511, 512, 512]
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3, 4, head_size, generator=generator).to(dtype)
    batch = PackedBatch.from_lengths(torch.zeros(len(qkv), dtype=torch.long), lengths, pad_token_id=1)
    with torch.inference_mode():
        windows = count_calls(monkeypatch, attention_gpu, "cudnn_attention")
        found = packed_attention(*qkv.cuda().unbind(1), to_cuda(batch))
        # Windows in runs of 2, 1, 1 and 2; tiles of one shape for 40 and 511 tokens, and of another for 3.
        assert len(windows) == 4
        assert len(tile_groups(batch.lengths, head_size, torch.device("cuda"), WINDOW_LENGTH)) == 2
        assert found.is_contiguous()
        assert_close(
            found.float().cpu(),
            packed_attention(*qkv.float().unbind(1), batch),
            tolerance=0.02 if dtype == torch.bfloat16 else 0.004,
        )
        for begin, length in zip(batch.cu_seqlens.tolist(), lengths, strict=False):
            one = PackedBatch.from_lengths(torch.zeros(length, dtype=torch.long), [length], pad_token_id=1)
            rows = slice(begin, begin + length)
            assert torch.equal(packed_attention(*qkv[rows].cuda().unbind(1), to_cuda(one)), found[rows])


@needs_windows
@pytest.mark.parametrize("head_size", [80, 128])
def test_a_window_has_the_same_bits_however_many_share_its_call(head_size: int) -> None:
    qkv = torch.randn(64 * 512, 3, 32, head_size, dtype=torch.bfloat16, device="cuda")

    def attend(num_windows: int) -> Tensor:
        ids = torch.zeros(num_windows * 512, dtype=torch.long)
        windows = PackedBatch.from_lengths(ids, [512] * num_windows, pad_token_id=1)
        return packed_attention(*qkv[: len(ids)].unbind(1), to_cuda(windows))

    with torch.inference_mode():
        together = attend(64)
        for num_windows in (1, 2, 4, 8, 16, 32, 63):
            found = attend(num_windows)
            assert torch.equal(found, together[: len(found)]), num_windows


needs_triton = pytest.mark.skipif(not has_triton(), reason="no Triton")


def rows_and_norm(dtype: torch.dtype, width: int) -> tuple[Tensor, Tensor, nn.LayerNorm]:
    """Rows of very different size, one of zeros; and a norm that is none of the usual."""
    generator = torch.Generator().manual_seed(0)
    hidden, added = (torch.randn(37, width, generator=generator) for _ in range(2))
    hidden *= torch.logspace(-3, 2, len(hidden))[:, None]
    hidden[1] = added[1] = 0
    norm = nn.LayerNorm(width)
    nn.init.normal_(norm.weight, mean=1, std=0.1)
    nn.init.normal_(norm.bias, std=0.1)
    return hidden.to("cuda", dtype), added.to("cuda", dtype), norm.requires_grad_(False).to("cuda", dtype)


@needs_triton
@pytest.mark.parametrize("width", [320, 2560])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_residual_and_norm_in_one_kernel_equal_torch(dtype: torch.dtype, width: int) -> None:
    from model.kernels.norm_triton import triton_add_norm  # noqa: PLC0415

    hidden, added, norm = rows_and_norm(dtype, width)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
    for more in (None, added):
        mine, theirs = hidden.clone(), hidden.clone()
        found, expected = triton_add_norm(mine, more, norm), torch_add_norm(theirs, more, norm)
        assert torch.equal(mine, theirs)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@needs_triton
@pytest.mark.parametrize("width", [320, 2560, 10240])
@pytest.mark.parametrize("before", ["nothing", "gelu", "norm"])
def test_float8_codes_in_one_kernel_are_the_plain_ones(before: str, width: int) -> None:
    from model.kernels.norm_triton import add_norm_codes, float8_codes  # noqa: PLC0415

    if torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("no float8 on this device")
    hidden, added, norm = rows_and_norm(torch.bfloat16, width)
    if before == "norm":
        exact = F.layer_norm((hidden + added).float(), (width,), norm.weight.float(), norm.bias.float(), norm.eps)
        found = add_norm_codes(hidden, added, norm)
    else:
        exact = F.gelu(hidden.float()) if before == "gelu" else hidden.float()
        found = float8_codes(hidden, is_gelu=before == "gelu")
    expected = quantize_float8(exact)
    assert_close(found.scale, expected.scale, tolerance=1e-5)
    # One in a thousand lies between two codes, and the last bit of a sum decides.
    is_same = found.rows.view(torch.uint8) == expected.rows.view(torch.uint8)
    assert is_same.float().mean() > 0.995
    decoded = found.rows.float() * found.scale
    assert ((decoded - exact).abs() <= 2**-4 * 1.01 * exact.abs() + 2**-10 * 1.01 * found.scale).all()


@pytest.mark.parametrize("pool", [pool_mean, pool_max])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_pooling_equals_the_cpu(
    pool: Callable[..., Tensor], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = torch.randn(sum(LENGTHS), 320, generator=torch.Generator().manual_seed(0)).to(dtype)
    batch = PackedBatch.from_lengths(torch.zeros(len(hidden), dtype=torch.long), LENGTHS, pad_token_id=1)
    chosen = torch.tensor([4, 0, 3])
    calls = count_calls(monkeypatch, torch, "segment_reduce")
    found = pool(hidden.cuda(), to_cuda(batch), chosen.cuda())
    assert len(calls) == 1
    assert found.dtype == torch.float32
    assert_close(found.cpu(), pool(hidden, batch, chosen))


def test_projection_to_fp32_keeps_what_bf16_would_round() -> None:
    x = torch.randn(5, 320, dtype=torch.bfloat16, device="cuda")
    weight = torch.randn(70, 320, dtype=torch.bfloat16, device="cuda")
    bias = torch.randn(70, dtype=torch.bfloat16, device="cuda")
    expected = x.double() @ weight.double().T + bias.double()
    with torch.inference_mode():
        fast = linear_fp32(x, weight, bias)
    slow = linear_fp32(x.requires_grad_(), weight, bias)
    assert fast.dtype == slow.dtype == torch.float32
    assert_close(fast.double(), expected, tolerance=1e-3)
    assert_close(slow.double(), expected, tolerance=1e-3)

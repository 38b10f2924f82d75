"""The windows of a batch that cuDNN computes: each lies in one run, and its results come back to its place."""

import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model import PackedBatch
from model.kernels.attention_cudnn import WINDOW_LENGTH, window_runs
from model.kernels.attention_gpu import gpu_attention
from model.kernels.packed_attention import packed_attention


@given(st.lists(st.sampled_from([1, 40, WINDOW_LENGTH - 1, WINDOW_LENGTH, WINDOW_LENGTH + 1, 2 * WINDOW_LENGTH])))
def test_each_window_lies_in_one_run_of_a_power_of_two(lengths: list[int]) -> None:
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    windows = [begin for begin, length in zip(begins, lengths, strict=True) if length == WINDOW_LENGTH]
    runs = window_runs(tuple(lengths))
    assert [first + i * WINDOW_LENGTH for first, size in runs for i in range(size)] == windows
    assert all(size.bit_count() == 1 for _, size in runs)


@pytest.mark.parametrize(
    ("num_windows", "sizes"), [(1, [1]), (64, [64]), (63, [32, 16, 8, 4, 2, 1]), (40, [32, 8])]
)
def test_a_run_is_cut_into_few_calls(num_windows: int, sizes: list[int]) -> None:
    lengths = (7, *[WINDOW_LENGTH] * num_windows, 9)
    assert [size for _, size in window_runs(lengths)] == sizes


@pytest.mark.parametrize("lengths", [[512, 512, 40, 512, 3, 512, 512, 512, 9], [512, 512], [512] * 3, [40, 3]])
@pytest.mark.parametrize("supports_cudnn", [False, True])
def test_windows_and_all_else_come_back_in_their_places(
    lengths: list[int], supports_cudnn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch's attention in the place of each kernel, on a CPU."""
    calls: list[str] = []

    def each_alone(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(0, 1)

    def windows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append(f"{len(q) // WINDOW_LENGTH} windows")
        pieces = zip(*(x.split(WINDOW_LENGTH) for x in (q, k, v)), strict=True)
        return torch.cat([each_alone(*piece) for piece in pieces])

    def tiles(
        context: Tensor, q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], *, skipped_length: int = 0
    ) -> None:
        calls.append("tiles")
        pieces = zip(*(x.split(list(lengths)) for x in (context, q, k, v)), strict=True)
        for length, (out, *qkv) in zip(lengths, pieces, strict=True):
            if length != skipped_length:
                out[:] = each_alone(*qkv)

    monkeypatch.setattr("model.kernels.attention_gpu.supports_cudnn", lambda *qkv: supports_cudnn)
    monkeypatch.setattr("model.kernels.attention_gpu.cudnn_attention", windows)
    monkeypatch.setitem(sys.modules, "model.kernels.attention_triton", SimpleNamespace(triton_attention_=tiles))
    q, k, v = torch.randn(sum(lengths), 3, 2, 16, generator=torch.Generator().manual_seed(0)).unbind(1)
    batch = PackedBatch.from_lengths(torch.zeros(sum(lengths), dtype=torch.long), lengths, pad_token_id=1)
    found = gpu_attention(q, k, v, batch.lengths)
    torch.testing.assert_close(found, packed_attention(q, k, v, batch))
    sizes = [size for _, size in window_runs(batch.lengths)] if supports_cudnn else []
    assert [call for call in calls if call != "tiles"] == [f"{size} windows" for size in sizes]
    # A batch that is one run needs no tiles, and its result is nobody's copy.
    assert ("tiles" in calls) == (sizes != [len(lengths)])

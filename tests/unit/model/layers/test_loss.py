"""Losses on one rank against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from model import ShardGroup
from model.kernels.hardware import FAST_PATH_CALLS, has_onednn_bf16
from model.kernels.linear_fp32 import linear_fp32
from model.layers.loss import (
    IGNORE_INDEX,
    classification_loss,
    infer_problem_type,
    mean_over_labels,
    vocab_block_size,
    vocab_parallel_cross_entropy,
)
from model.parallel.shard import Shard

VOCAB_SIZE = 13
WHOLE = Shard(0, 0, VOCAB_SIZE, VOCAB_SIZE)
LABELS = torch.tensor([0, 12, IGNORE_INDEX, 5, IGNORE_INDEX])


def test_cross_entropy_and_its_gradient() -> None:
    logits = torch.randn(5, VOCAB_SIZE, requires_grad=True)
    other = logits.detach().clone().requires_grad_()
    nll = vocab_parallel_cross_entropy(logits, LABELS, ShardGroup(), WHOLE)
    assert nll[2] == nll[4] == 0
    mean_over_labels(nll, LABELS).backward()
    expected = F.cross_entropy(other, LABELS)
    expected.backward()
    torch.testing.assert_close(mean_over_labels(nll, LABELS), expected)
    torch.testing.assert_close(logits.grad, other.grad)


def test_cross_entropy_of_huge_logits_is_finite() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [-3e4, -3e4, -3e4]])
    labels = torch.tensor([2, 1])
    nll = vocab_parallel_cross_entropy(logits, labels, ShardGroup(), Shard(0, 0, 3, 3))
    torch.testing.assert_close(nll, F.cross_entropy(logits, labels, reduction="none"))


def test_mean_is_nan_where_nothing_is_labelled() -> None:
    assert mean_over_labels(torch.zeros(2), torch.tensor([IGNORE_INDEX, IGNORE_INDEX])).isnan()


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
    FAST_PATH_CALLS.clear()
    slow = linear_fp32(x, weight, bias)
    assert not FAST_PATH_CALLS
    with torch.inference_mode():
        fast = linear_fp32(x, weight, bias)
        half = F.linear(x, weight, bias)
    assert FAST_PATH_CALLS["fp32 result of bf16"] == 1
    error = (fast - exact).abs().max()
    assert error < 1e-4
    assert error < 10 * (slow - exact).abs().max()
    assert (half - exact).abs().max() > 1000 * error
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"  # type: ignore[attr-defined]


def test_what_is_no_bf16_keeps_every_bit() -> None:
    x, weight = torch.randn(40, 64), torch.randn(30, 64)
    FAST_PATH_CALLS.clear()
    with torch.inference_mode():
        found = linear_fp32(x, weight, None)
        mixed = linear_fp32(x.bfloat16(), weight, None)
    assert not FAST_PATH_CALLS
    torch.testing.assert_close(found, F.linear(x, weight), rtol=0, atol=0)
    torch.testing.assert_close(mixed, F.linear(x.bfloat16().float(), weight), rtol=0, atol=0)


@pytest.mark.parametrize("num_positions", [0, 1, 2048, 5000, 100_000])
def test_blocks_of_the_vocabulary_bound_the_logits(num_positions: int) -> None:
    size = vocab_block_size(num_positions, "cpu")
    assert 256 <= size <= 2048
    assert size == 256 or size * num_positions <= 2**22
    assert vocab_block_size(num_positions, "cuda") == 8192


@pytest.mark.parametrize(
    ("labels", "num_labels", "expected"),
    [
        (torch.tensor([1, 0]), 3, "single_label_classification"),
        (torch.tensor([1, 0], dtype=torch.int32), 2, "single_label_classification"),
        (torch.tensor([[1.0, 0.0]]), 2, "multi_label_classification"),
        (torch.tensor([1.5]), 1, "regression"),
        (torch.tensor([1]), 1, "regression"),
    ],
)
def test_problem_type_is_inferred(labels: torch.Tensor, num_labels: int, expected: str) -> None:
    assert infer_problem_type(labels, num_labels) == expected


def test_classification_losses() -> None:
    logits = torch.randn(4, 3)
    ids, targets = torch.tensor([0, 2, 1, 1]), torch.rand(4, 3)
    assert classification_loss(logits, ids, "single_label_classification") == F.cross_entropy(logits, ids)
    assert classification_loss(logits, targets, "regression") == F.mse_loss(logits, targets)
    assert classification_loss(
        logits, targets, "multi_label_classification"
    ) == F.binary_cross_entropy_with_logits(logits, targets)
    one = logits[:, :1]
    assert classification_loss(one, targets[:, 0], "regression") == F.mse_loss(one[:, 0], targets[:, 0])

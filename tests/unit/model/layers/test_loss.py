"""Losses on one rank against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from model import ShardGroup
from model.layers.loss import (
    classification_loss,
    infer_problem_type,
    mean_over_labels,
    vocab_block_size,
    vocab_parallel_cross_entropy,
)
from model.parallel.shard import Shard
from model.tokenizer.special_tokens import IGNORE_INDEX

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

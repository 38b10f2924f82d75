"""Softmax over a vocabulary in tiles against float64, and that a position's results depend on no other."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model import ShardGroup
from model.kernels.amx.library import runs_amx_kernels
from model.kernels.amx.vocabulary import CHUNK_SIZE, amx_vocabulary_sums, fits_amx_vocabulary
from model.layers import loss
from model.layers.loss import vocab_parallel_nll
from model.parallel.shard import Shard
from tests.call_counts import count_calls

pytestmark = pytest.mark.skipif(
    not runs_amx_kernels(torch.empty(0, dtype=torch.bfloat16)), reason="no AMX on this CPU, or no gcc"
)

# positions, hidden size, vocabulary: odd ones, one that a chunk ends with, several panels of positions.
SHAPES = [
    (1, 32, 1),
    (5, 64, 31),
    (33, 96, 33),
    (32, 320, CHUNK_SIZE),
    (40, 64, 2 * CHUNK_SIZE + 17),
    (300, 2560, 70),
]


def a_projection(num_positions: int, hidden_size: int, vocab_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of up to some sixty, so that a bf16 number would be a quarter off."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((num_positions, hidden_size), (vocab_size, hidden_size), (vocab_size,))
    hidden, weight, bias = (torch.randn(*shape, generator=generator) for shape in shapes)
    return hidden.bfloat16(), (weight * 15 / hidden_size**0.5).bfloat16(), bias.bfloat16()


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_equal_those_in_float64(shape: tuple[int, int, int]) -> None:
    hidden, weight, bias = a_projection(*shape)
    num_positions, _, vocab_size = shape
    labels = torch.arange(num_positions) * 7 % (vocab_size + 2) - 1
    highest, sum_exp, label_logit = amx_vocabulary_sums(hidden, weight, bias, labels)
    logits = hidden.double() @ weight.double().T + bias.double()
    assert highest.dtype == sum_exp.dtype == label_logit.dtype == torch.float32
    torch.testing.assert_close(highest.double(), logits.amax(1), rtol=1e-6, atol=1e-5)
    expected_sum = (logits - logits.amax(1, keepdim=True)).exp().sum(1)
    torch.testing.assert_close(sum_exp.double(), expected_sum, rtol=2e-5, atol=0)
    is_there = (labels >= 0) & (labels < vocab_size)
    expected = logits.gather(1, labels.clamp(0, vocab_size - 1)[:, None])[:, 0].masked_fill(~is_there, 0.0)
    torch.testing.assert_close(label_logit.double(), expected, rtol=1e-6, atol=1e-5)


def test_a_position_has_the_same_bits_alone_and_on_any_number_of_threads() -> None:
    hidden, weight, bias = a_projection(300, 2560, 9 * CHUNK_SIZE + 17)
    labels = torch.arange(300) * 60
    together = amx_vocabulary_sums(hidden, weight, bias, labels)
    num_threads = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            for found, expected in zip(amx_vocabulary_sums(hidden, weight, bias, labels), together, strict=True):
                assert torch.equal(found, expected)
    finally:
        torch.set_num_threads(num_threads)
    for position in (0, 31, 191, 299):
        only = slice(position, position + 1)
        alone = amx_vocabulary_sums(hidden[only], weight, bias, labels[only])
        assert all(torch.equal(found, expected[only]) for found, expected in zip(alone, together, strict=True))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_with_its_position(value: float) -> None:
    hidden, weight, bias = a_projection(40, 64, 100)
    clean = vocab_parallel_nll(hidden, weight, bias, torch.arange(40), ShardGroup(), Shard(0, 0, 100, 100))
    hidden[17, 3] = value
    found = vocab_parallel_nll(hidden, weight, bias, torch.arange(40), ShardGroup(), Shard(0, 0, 100, 100))
    assert found[17].isnan()
    others = torch.arange(40) != 17
    assert torch.equal(found[others], clean[others])


def test_a_loss_is_that_of_blocks_and_of_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, bias = a_projection(70, 320, 3000)
    labels = torch.arange(70) * 40
    labels[5] = -100
    arguments = hidden, weight, bias, labels, ShardGroup(), Shard(0, 0, 3000, 3000)
    calls = count_calls(monkeypatch, loss, "amx_vocabulary_sums")
    found = vocab_parallel_nll(*arguments)
    assert len(calls) == 1
    in_blocks = vocab_parallel_nll(*arguments, block_size=256)
    assert len(calls) == 1
    exact = F.cross_entropy(hidden.double() @ weight.double().T + bias.double(), labels, reduction="none")
    torch.testing.assert_close(found, in_blocks, rtol=1e-6, atol=2e-5)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=2e-5)
    assert found[5] == 0


def test_two_shards_make_the_whole() -> None:
    hidden, weight, bias = a_projection(33, 64, 500)
    labels = torch.arange(33) * 15
    whole = amx_vocabulary_sums(hidden, weight, bias, labels)
    shards = [amx_vocabulary_sums(hidden, weight[rows], bias[rows], labels - rows.start)
              for rows in (slice(0, 243), slice(243, 500))]  # fmt: skip
    highest = torch.maximum(shards[0][0], shards[1][0])
    sum_exp = sum(sums * (top - highest).exp() for top, sums, _ in shards)
    assert torch.equal(highest, whole[0])
    torch.testing.assert_close(sum_exp, whole[1], rtol=1e-5, atol=0)
    assert torch.equal(shards[0][2] + shards[1][2], whole[2])


@pytest.mark.parametrize("num_forbidden", [32, CHUNK_SIZE, CHUNK_SIZE + 40])
def test_logits_of_minus_infinity_are_left_out(num_forbidden: int) -> None:
    hidden, weight, bias = a_projection(40, 64, 2 * CHUNK_SIZE + 17)
    bias[:num_forbidden] = -torch.inf
    labels = torch.full((40,), 2 * CHUNK_SIZE)
    found = vocab_parallel_nll(hidden, weight, bias, labels, ShardGroup(), Shard.of(ShardGroup(), 0, len(bias)))
    rest = slice(num_forbidden, None)
    logits = hidden.double() @ weight[rest].double().T + bias[rest].double()
    exact = F.cross_entropy(logits, labels - num_forbidden, reduction="none")
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=2e-5)


def test_nothing_to_do() -> None:
    hidden, weight, bias = a_projection(40, 64, 100)
    sums = amx_vocabulary_sums(hidden[:0], weight, bias, torch.arange(0))
    assert all(found.shape == (0,) for found in sums)
    _, sum_exp, label_logit = amx_vocabulary_sums(hidden, weight[:0], bias[:0], torch.arange(40))
    assert not sum_exp.any()
    assert not label_logit.any()


def test_the_default_dtype_is_of_no_account() -> None:
    hidden, weight, bias = a_projection(300, 64, 3 * CHUNK_SIZE)
    expected = amx_vocabulary_sums(hidden, weight, bias, torch.arange(300))
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = amx_vocabulary_sums(hidden, weight, bias, torch.arange(300))
    finally:
        torch.set_default_dtype(usual)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


def test_what_fits() -> None:
    hidden, weight, bias = a_projection(2, 64, 100)
    assert fits_amx_vocabulary(hidden, weight, bias)
    assert not fits_amx_vocabulary(hidden.float(), weight, bias)
    assert not fits_amx_vocabulary(hidden, weight, bias.float())
    assert not fits_amx_vocabulary(hidden.float(), weight.float(), bias.float())
    assert not fits_amx_vocabulary(hidden[:, :48], weight[:, :48].contiguous(), bias)
    assert not fits_amx_vocabulary(hidden[:, :32], weight[:, :32], bias)
    assert not fits_amx_vocabulary(hidden, weight[::2], bias[::2])

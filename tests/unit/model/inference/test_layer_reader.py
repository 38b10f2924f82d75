"""What is read of layers while they pass, against the hidden states that Transformers returns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model import PackedBatch, ShardGroup, XLMRobertaXLModel
from model.inference import amx_layer
from model.inference.encoder import InferenceEncoder, InferenceLayer
from model.inference.layer_reader import MOMENTS_EPS, LayerReader
from model.inference.quantization import Quantization
from model.kernels.amx.kernels import Blocks
from model.layers.layer_mix import LayerMix
from model.layers.layer_reads import LayerRead
from tests.call_counts import count_calls
from tests.distributed.processes import run_on_ranks
from tests.oracle import oracle_of
from tests.unit.model.inference.test_encoder import LENGTHS, TINY, a_batch, needs_amx_kernels, random_trunk

ALL = tuple(range(TINY["num_hidden_layers"] + 1))
WEIGHTS = (0.7, 0.0, -1.3, 0.4)
# In one pass: single layers and mixes, of tokens and pooled, with and without a norm.
READS = [
    *((LayerRead((layer,), "token"), (1.0,)) for layer in ALL),
    *((LayerRead((layer,), "mean"), (1.0,)) for layer in (0, 2)),
    (LayerRead((1,), "cls"), (1.0,)),
    (LayerRead((3,), "max"), (1.0,)),
    *((LayerRead(ALL, pooling, "mix"), WEIGHTS) for pooling in ("token", "cls", "mean")),
    *((LayerRead(ALL, pooling, "mix", is_normalized=True), WEIGHTS) for pooling in ("token", "cls", "mean")),
    (LayerRead((2,), "max", is_normalized=True), (1.0,)),
    (LayerRead((0, 2), "mean", "mix"), (0.25, 2.0)),
    (LayerRead((0, 2), "cls", "mix"), (0.0, 0.0)),
]
# Not all of them are read; the last slice has none of the tokens.
SEQUENCES = torch.tensor([0, 2, 3, 4, 5, 7])
TOKENS = torch.cat([torch.arange(3, 30), torch.arange(60, 500), torch.tensor([1000])])
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no AVX-512 VNNI")


def readers_of(
    dtype: torch.dtype, reads: Sequence[tuple[LayerRead, tuple[float, ...]]] = READS
) -> list[LayerReader]:
    options: Any = {"hidden_size": TINY["hidden_size"], "dtype": dtype}
    return [
        LayerReader(read, TOKENS if read.pooling == "token" else SEQUENCES, weights, **options)
        for read, weights in reads
    ]


@torch.inference_mode()
def rows_read(trunk: XLMRobertaXLModel, **options: Any) -> tuple[list[Tensor], Tensor]:
    """What each of `READS` gives in one pass, and the states that the trunk returns."""
    readers = readers_of(trunk.dtype)
    states_TD = trunk.forward_packed(a_batch(), readers, **options)
    return [reader.rows for reader in readers], states_TD


@torch.inference_mode()
def oracle_states(trunk: XLMRobertaXLModel) -> list[list[Tensor]]:
    """By layer and sequence, the hidden states of Transformers, one sequence at a time."""
    oracle = oracle_of(trunk)
    by_sequence = [
        oracle(ids[None], output_hidden_states=True).hidden_states for ids in a_batch().input_ids.split(LENGTHS)
    ]
    return [[layer[0] for layer in layers] for layers in zip(*by_sequence, strict=True)]


def expected_rows(states: list[list[Tensor]], read: LayerRead, weights: tuple[float, ...]) -> Tensor:
    """The definition, in float64."""
    mixed = [torch.zeros_like(sequence, dtype=torch.float64) for sequence in states[0]]
    for layer, weight in zip(read.layers, weights, strict=True):
        for total, found in zip(mixed, states[layer], strict=True):
            x = found.double()
            if read.is_normalized:
                x = (x - x.mean()) / (x.var(correction=0) + MOMENTS_EPS).sqrt()
            total.add_(x, alpha=weight)
    if read.pooling == "token":
        return torch.cat(mixed)[TOKENS]
    pool = {"cls": lambda x: x[0], "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}[read.pooling]
    return torch.stack([pool(mixed[i]) for i in SEQUENCES])


def assert_rows(found: list[Tensor], states: list[list[Tensor]], tolerance: float = 1e-5) -> None:
    for rows, (read, weights) in zip(found, READS, strict=True):
        assert rows.dtype == torch.float32
        expected = expected_rows(states, read, weights).float()
        torch.testing.assert_close(
            rows, expected, rtol=tolerance, atol=tolerance, msg=lambda m, r=read: f"{r}: {m}"
        )


@pytest.mark.parametrize("slice_tokens", [60, 10_000])
def test_rows_are_those_of_the_padded_forward(slice_tokens: int) -> None:
    trunk = random_trunk(torch.float32)
    states = oracle_states(trunk)
    trunk.fuse()
    assert trunk.fused is not None
    trunk.fused.slice_tokens = slice_tokens
    rows, returned = rows_read(trunk)
    assert_rows(rows, states)
    torch.testing.assert_close(returned, torch.cat(states[-1]), rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        assert torch.equal(returned, trunk.forward_packed(a_batch()))


def test_a_mean_of_one_layer_is_that_of_the_last_states_to_the_bit() -> None:
    """A vector of the last layer is the same whether it is read as one of several or alone."""
    trunk = random_trunk(torch.float32)
    trunk.fuse()
    [reader] = readers_of(torch.float32, [(LayerRead((3,), "mean"), (1.0,))])
    with torch.inference_mode():
        states_TD = trunk.forward_packed(a_batch(), [reader])
    means = torch.stack([sequence.mean(dim=0) for sequence in states_TD.split(LENGTHS)])
    assert torch.equal(reader.rows, means[SEQUENCES])


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_it_stops_after_as_many_layers_as_are_wanted(num_layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = random_trunk(torch.float32)
    states = oracle_states(trunk)
    trunk.fuse()
    computed = count_calls(monkeypatch, InferenceLayer, "forward_")
    slices = count_calls(monkeypatch, InferenceEncoder, "fill_")
    [reader] = readers_of(torch.float32, [(LayerRead((num_layers,), "token"), (1.0,))])
    assert reader.num_layers == num_layers
    with torch.inference_mode():
        returned = trunk.forward_packed(a_batch(), [reader], num_layers=num_layers)
    assert len(computed) == num_layers * len(slices)
    torch.testing.assert_close(returned, torch.cat(states[num_layers]), rtol=1e-5, atol=1e-5)
    assert torch.equal(reader.rows, returned[TOKENS])


def test_layers_of_weight_zero_are_not_read() -> None:
    [reader] = readers_of(torch.float32, [(LayerRead(ALL, "mean", "mix"), (0.0, 2.0, 0.5, 0.0))])
    assert reader.coefficients == {1: 2.0, 2: 0.5}
    assert reader.num_layers == 2


def test_what_cannot_be_read_is_refused() -> None:
    trunk = random_trunk(torch.float32)
    readers = readers_of(torch.float32)
    with pytest.raises(ValueError, match=r"of a fused trunk; call fuse\(\) first"):
        trunk.forward_packed(a_batch(), readers)
    with pytest.raises(ValueError, match=r"call fuse\(\) first"):
        trunk.forward_packed(a_batch(), num_layers=1)
    trunk.fuse()
    for num_layers in (2, 4):
        with pytest.raises(
            ValueError, match=f"at most 3, and no less than the layers that are read, found {num_layers}"
        ):
            trunk.forward_packed(a_batch(), readers, num_layers=num_layers)


def test_the_coefficients_of_a_mix() -> None:
    mix = LayerMix(3)
    with torch.no_grad():
        mix.weight.copy_(torch.tensor([0.5, -1.0, 0.0]))
        mix.gamma.fill_(3.0)
    assert mix.coefficients() == (1.5, -3.0, 0.0)


def assert_rows_fit_each_other(rows: list[Tensor]) -> None:
    """A mix is that of the layers, which the same pass gave one by one."""
    of_layer = [rows.double() for rows in rows[: len(ALL)]]
    mixed = sum(weight * found for weight, found in zip(WEIGHTS, of_layer, strict=True))
    index = next(i for i, (read, _) in enumerate(READS) if read.pooling == "token" and read.mix)
    torch.testing.assert_close(rows[index].double(), mixed, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quantization", [None, pytest.param("int8", marks=needs_vnni), "float8"])
def test_in_bf16_and_eight_bits_rows_are_added_up_in_fp32(
    quantization: Quantization | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tiles; each layer is as near to fp32 as its rounding lets it."""
    monkeypatch.setattr("model.inference.amx_layer.runs_amx_kernels", lambda tensor: False)
    trunk = random_trunk(torch.bfloat16)
    states = oracle_states(random_trunk(torch.bfloat16).float())
    trunk.fuse(quantization)
    rows, _ = rows_read(trunk)
    assert_rows_fit_each_other(rows)
    assert_rows(rows, states, tolerance=0.05 if quantization is None else 0.3)


@needs_amx_kernels
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_in_tiles(quantization: Quantization | None) -> None:
    trunk = random_trunk(torch.bfloat16)
    states = oracle_states(random_trunk(torch.bfloat16).float())
    trunk.fuse(quantization)
    assert trunk.fused is not None
    assert trunk.fused.uses_amx
    rows, _ = rows_read(trunk)
    assert_rows_fit_each_other(rows)
    assert_rows(rows, states, tolerance=0.05 if quantization is None else 0.3)


def content(blocks: Blocks | Tensor) -> Tensor:
    """Blocks of the kernels below hold plain rows."""
    if isinstance(blocks, Tensor):
        return blocks
    size = blocks.num_rows * blocks.num_features
    return blocks.data.view(torch.bfloat16)[:size].view(blocks.num_rows, blocks.num_features)


class PlainLinear(nn.Module):
    """`AmxLinear` by torch."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, is_activated: bool = False) -> None:
        super().__init__()
        self.weight, self.bias, self.is_activated = weight.detach(), bias, is_activated

    def forward(self, x: Blocks, y: Tensor | Blocks) -> Tensor | Blocks:
        product = F.linear(content(x), self.weight, self.bias)
        content(y).copy_(F.gelu(product) if self.is_activated else product)
        return y


def plain_add_norm(hidden: Tensor, added: Tensor | None, norm: nn.LayerNorm, normed: Blocks | Tensor) -> None:
    total = hidden if added is None else hidden + added
    if normed is not hidden:
        hidden.copy_(total)
    content(normed).copy_(norm(total))


def plain_attention(
    qkv: Blocks, lengths: Sequence[int], head_size: int, context: Blocks, *, is_causal: bool
) -> Blocks:
    for rows, to in zip(content(qkv).split(lengths), content(context).split(lengths), strict=True):
        q, k, v = rows.unflatten(-1, (3, -1, head_size)).permute(1, 2, 0, 3).unsqueeze(1)
        to.copy_(F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)[0].transpose(0, 1).flatten(1))
    return context


def plain_embed(hidden: Tensor, words: Tensor, kind: Tensor, positions: Tensor, batch: PackedBatch) -> None:
    hidden.copy_(words[batch.input_ids] + kind + positions[batch.position_ids])


@pytest.mark.parametrize("slice_tokens", [60, 10_000])
def test_layers_in_tiles_hand_out_their_states(slice_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of CPUs with AMX on every machine: its kernels by torch."""
    kernels: dict[str, Callable[..., Any]] = {
        "runs_amx_kernels": lambda tensor: True,
        "AmxLinear": PlainLinear,
        "add_norm_into": plain_add_norm,
        "amx_attention": plain_attention,
        "embed_into": plain_embed,
    }
    for name, kernel in kernels.items():
        monkeypatch.setattr(amx_layer, name, kernel)
    trunk = random_trunk(torch.bfloat16)
    states = oracle_states(random_trunk(torch.bfloat16).float())
    trunk.fuse()
    assert trunk.fused is not None
    assert trunk.fused.uses_amx
    trunk.fused.slice_tokens = slice_tokens
    rows, returned = rows_read(trunk)
    assert_rows_fit_each_other(rows)
    assert_rows(rows, states, tolerance=0.05)
    assert torch.equal(rows[-1 + len(ALL)], returned[TOKENS].float())
    [reader] = readers_of(torch.bfloat16, [(LayerRead((2,), "token"), (1.0,))])
    with torch.inference_mode():
        returned = trunk.forward_packed(a_batch(), [reader], num_layers=2)
    assert torch.equal(reader.rows, rows[2])
    assert torch.equal(returned[TOKENS].float(), rows[2])


def _of_rank(group: ShardGroup, directory: Path) -> list[Tensor]:
    trunk = XLMRobertaXLModel.from_pretrained(directory, group=group, add_pooling_layer=False)
    trunk.fuse()
    return rows_read(trunk)[0]


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_every_rank_reads_the_same(num_ranks: int, tmp_path: Path) -> None:
    trunk = random_trunk(torch.float32)
    trunk.save_pretrained(tmp_path)
    states = oracle_states(trunk)
    for rows in run_on_ranks(num_ranks, _of_rank, tmp_path):
        assert_rows(rows, states, tolerance=2e-5)

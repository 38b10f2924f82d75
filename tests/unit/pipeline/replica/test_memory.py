import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model import (
    PackedBatch,
    ShardGroup,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.inference.layer_reader import LayerReader
from model.inference.memory import peak_memory, reading_bytes, reset_peak_memory
from model.kernels.amx.library import _library, runs_amx_kernels
from model.kernels.hardware import has_onednn_bf16
from model.layers.layer_reads import LayerRead
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.memory import rank_memory
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from tests.comet_checkpoints import METRICS, write_converted
from tests.distributed.processes import run_on_ranks
from tests.example_task import scored_tokens
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, make_head, tiny_checkpoint, tiny_config

MIB = 2**20
needs_onednn_bf16 = pytest.mark.skipif(
    not has_onednn_bf16(torch.empty(0, dtype=torch.bfloat16)), reason="oneDNN without bf16"
)
needs_amx_kernels = pytest.mark.skipif(
    not runs_amx_kernels(torch.empty(0, dtype=torch.bfloat16)), reason="no AMX on this CPU, or no gcc"
)


def heads_on(directory: Path, *tasks: str, **options: Any) -> list[Head]:
    config = read_config(str(directory), "weights")
    return [
        make_head(f"{task} {i}", task, trunk=str(directory), config=config, **options)
        for i, task in enumerate(tasks)
    ]


def weights_of(heads: list[Head], size: int = 1, dtype: str = "float32") -> int:
    return rank_memory(heads, tensor_parallel_size=size, token_budget=512, dtype=dtype).weights


def num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_weights_are_those_of_the_model_classes(tmp_path: Path) -> None:
    directory = tiny_checkpoint(tmp_path)
    classifier = num_parameters(XLMRobertaXLForSequenceClassification.from_pretrained(directory))
    masked_lm = num_parameters(XLMRobertaXLForMaskedLM.from_pretrained(directory))
    assert weights_of(heads_on(directory, "text-classification")) == 4 * classifier
    assert weights_of(heads_on(directory, "masked-lm-loss"), dtype="bfloat16") == 2 * masked_lm


def test_equal_trunks_count_once_and_others_beside_them(tmp_path: Path) -> None:
    first, second = tiny_checkpoint(tmp_path / "a"), tiny_checkpoint(tmp_path / "b", num_hidden_layers=1)
    one, other = heads_on(first, "embedding"), heads_on(second, "embedding")
    assert weights_of([*one, *heads_on(first, "embedding")]) == weights_of(one)
    assert weights_of([*one, *other]) == weights_of(one) + weights_of(other)


def held_bytes(group: ShardGroup, heads: list[Head], dtype: str = "float32") -> int:
    """What the modules of a rank really hold."""
    shard = ModelRunner(heads, RankSettings("cpu", dtype, 1, TINY_VOCAB_SIZE), group)
    modules = [*shard._trunks.values(), *(m for head in shard._modules.values() for m in head.values())]
    parameters = {p.data_ptr(): p.nbytes for module in modules for p in module.parameters()}
    return sum(parameters.values())


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_weights_are_those_of_the_rank_that_holds_most(size: int, is_tied: bool, tmp_path: Path) -> None:
    """Four heads and 608 tokens do not divide by three."""
    directory = tiny_checkpoint(tmp_path, tie_word_embeddings=is_tied)
    heads = heads_on(directory, "text-classification", "embedding", "masked-lm-loss")
    held = [held_bytes(ShardGroup(), heads)] if size == 1 else run_on_ranks(size, held_bytes, heads)
    assert weights_of(heads, size) == max(held)


def test_the_released_models_need_what_is_known(tmp_path: Path) -> None:
    """3.5B parameters in two bytes each: 6.5 GiB, of which two ranks hold about half each."""
    XLMRobertaXLConfig().save_pretrained(tmp_path)
    heads = heads_on(tmp_path, "embedding")
    whole, half = (weights_of(heads, size, "bfloat16") for size in (1, 2))
    assert whole == pytest.approx(3.48e9 * 2, rel=0.01)
    assert half == pytest.approx(whole / 2, rel=0.01)


def activations(
    heads: list[Head], *, token_budget: int, size: int = 1, dtype: str = "float32", device: str = "cpu"
) -> int:
    return rank_memory(
        heads, tensor_parallel_size=size, token_budget=token_budget, dtype=dtype, device=device
    ).activations


def test_on_a_gpu_activations_grow_with_the_budget(tmp_path: Path) -> None:
    heads = heads_on(tiny_checkpoint(tmp_path), "embedding")
    small, large = (activations(heads, token_budget=budget, device="cuda") for budget in (512, 8192))
    assert large == 16 * small
    assert activations(heads, token_budget=8192, size=2, device="cuda") < large


@pytest.mark.parametrize(("level", "num_vectors"), [("token", 8192), ("sentence", 4096)])
def test_on_a_gpu_vectors_of_the_batch_before_count(level: str, num_vectors: int, tmp_path: Path) -> None:
    directory = tiny_checkpoint(tmp_path)
    without, heads = heads_on(directory, "text-classification"), heads_on(directory, "embedding", level=level)
    bounds = [
        activations(chosen, token_budget=8192, device="cuda") for chosen in (without, heads, [*heads, *heads])
    ]
    vectors = num_vectors * heads[0].config.hidden_size * 4
    assert [b - a for a, b in pairwise(bounds)] == [vectors, vectors]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_read_of_layers_counts(device: str, tmp_path: Path) -> None:
    """A vector a layer for every other token, or for each; on a GPU also those of the batch before."""
    directory = tiny_checkpoint(tmp_path)
    times, row = (2 if device == "cuda" else 1), 4 * tiny_config().hidden_size

    def bound(**options: Any) -> int:
        return activations(heads_on(directory, "embedding", **options), token_budget=8192, device=device)

    one, two, all_three = (bound(layers=layers) for layers in ([0], [0, 1], "all"))
    assert two - one == all_three - two == times * 4096 * row
    tokens, more_tokens = (bound(level="token", layers=layers) for layers in ([0], [0, 1]))
    assert more_tokens - tokens == times * 8192 * row
    assert bound(layer=0) == one > bound(layer=-1) == bound()


def test_a_mix_takes_what_a_layer_takes(tmp_path: Path) -> None:
    config = tiny_config()
    all_layers = tuple(range(config.num_hidden_layers + 1))
    one, mixed = (
        reading_bytes(config, [read], num_tokens=8192, device="cpu")
        for read in (LayerRead((0,), "mean"), LayerRead(all_layers, "mean", "mix"))
    )
    assert one == mixed


def test_weights_in_fp32_take_four_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "scored-tokens", scored_tokens.TASK)
    monkeypatch.setitem(HEAD_SECTIONS, "scored-tokens", scored_tokens.ScoredTokensHead)
    directory = tiny_checkpoint(tmp_path / "trunk")
    config = read_config(str(directory), "trunk")
    tensors = scored_tokens.write_scored_tokens_head(tmp_path / "head", config)
    head = make_head(
        "x", "scored-tokens", trunk=str(directory), config=config, weights=str(tmp_path / "head"), text="text"
    )
    trunk = weights_of(heads_on(directory, "embedding"), dtype="bfloat16")
    assert weights_of([head], dtype="bfloat16") - trunk == 4 * sum(t.numel() for t in tensors.values())


def test_translation_quality_takes_its_fp32_head_and_the_rows_that_it_reads(tmp_path: Path) -> None:
    """A row of the mix for each sequence, and one of the labelled layer for each token."""
    tensors = write_converted(tmp_path, METRICS["xcomet"])
    directory = tmp_path / "converted"
    options = {"reference": "reference"}
    both = (
        heads_on(directory, task, **given) for task, given in (("translation-quality", options), ("embedding", {}))
    )
    quality, vector = both
    of_head = [t.numel() for name, t in tensors.items() if not name.startswith("encoder.")]
    for dtype in ("float32", "bfloat16"):
        for size in (1, 2):
            more = weights_of(quality, size, dtype) - weights_of(vector, size, dtype)
            # The weights of the mix, their factor, the estimator and the labels, whole on each rank.
            assert more == 4 * sum(of_head)
    config = read_config(str(directory), "weights")
    read = activations(quality, token_budget=8192) - activations(vector, token_budget=8192)
    assert read >= (8192 // 2 + 8192) * config.hidden_size * 4


def test_on_a_cpu_only_the_states_grow_with_the_budget(tmp_path: Path) -> None:
    heads = heads_on(tiny_checkpoint(tmp_path), "embedding")
    sizes = [activations(heads, token_budget=budget) for budget in (2048, 4096, 8192)]
    hidden_size = heads[0].config.hidden_size
    assert [b - a for a, b in pairwise(sizes)] == [2048 * hidden_size * 4, 4096 * hidden_size * 4]
    assert activations(heads, token_budget=8192, size=2) < sizes[-1]


def test_generation_needs_its_cache(tmp_path: Path) -> None:
    directory = tiny_checkpoint(tmp_path, is_decoder=True)
    bounds = [
        activations(heads_on(directory, "text-generation", max_new_tokens=5), token_budget=2048),
        activations(heads_on(directory, "text-generation", max_new_tokens=200), token_budget=2048),
        activations(heads_on(directory, "text-generation", max_new_tokens=200, num_beams=4), token_budget=2048),
    ]
    assert bounds == sorted(set(bounds))


def taken_bytes(
    group: ShardGroup,
    directory: Path,
    token_budget: int,
    dtype: str,
    num_batches: int,
    layers: tuple[int, ...] = (),
) -> int:
    """Most bytes that a process takes for some batches beside its weights, once it has run a small one.

    `layers`: whose states are read, pooled and by tokens, with a norm.
    """
    trunk = XLMRobertaXLModel.from_pretrained(directory, group=group, add_pooling_layer=False, dtype=dtype)
    trunk.fuse()
    rng = np.random.default_rng(0)
    with torch.inference_mode():
        trunk.forward_packed(PackedBatch.from_lengths(torch.full((20,), 5), [20], pad_token_id=1))
        reset_peak_memory("cpu")
        before = peak_memory("cpu")
        for _ in range(num_batches):
            lengths = rng.integers(20, 512, token_budget // 512)
            batch = PackedBatch.from_lengths(torch.full((int(lengths.sum()),), 5), lengths, pad_token_id=1)
            readers = [reader for layer in layers for reader in readers_of(layer, batch, trunk)]
            trunk.forward_packed(batch, readers)
            del readers
    return peak_memory("cpu") - before


def readers_of(layer: int, batch: PackedBatch, trunk: XLMRobertaXLModel) -> list[LayerReader]:
    sizes: Any = {"hidden_size": trunk.config.hidden_size, "dtype": trunk.dtype}
    tokens, sequences = torch.arange(len(batch.input_ids)), torch.arange(batch.num_sequences)
    return [
        LayerReader(LayerRead((layer,), "token", is_normalized=True), tokens, **sizes),
        LayerReader(LayerRead((layer,), "mean", is_normalized=True), sequences, **sizes),
    ]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("token_budget", [2048, 8192])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=needs_amx_kernels)])
def test_what_is_taken_is_within_the_bound(dtype: str, token_budget: int, size: int, tmp_path: Path) -> None:
    """A model wide enough that its activations are more than what the libraries take; in bf16, of layers in
    tiles."""
    changes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 1}
    directory = tiny_checkpoint(tmp_path, **changes)
    bound = activations(heads_on(directory, "embedding"), token_budget=token_budget, size=size, dtype=dtype)
    libraries = 16 * MIB
    for taken in run_on_ranks(size, taken_bytes, directory, token_budget, dtype, 4):
        assert taken <= bound + libraries
        item_size = 4 if dtype == "float32" else 2
        assert taken >= token_budget * 768 * item_size / 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_read_is_within_the_bound(dtype: str, tmp_path: Path) -> None:
    changes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 1}
    directory = tiny_checkpoint(tmp_path, **changes)
    options: dict[str, Any] = {"level": "token", "layers": [0, 1]}
    heads = [*heads_on(directory, "embedding", **options), *heads_on(directory, "embedding", layers=[0, 1])]
    bound = activations(heads, token_budget=8192, dtype=dtype)
    [taken] = run_on_ranks(1, taken_bytes, directory, 8192, dtype, 4, (0, 1))
    assert 2 * 8192 / 2 * 768 * 4 <= taken <= bound + 16 * MIB


def taken_bytes_without_gcc(*arguments: Any) -> int:
    os.environ["PATH"] = os.environ["XDG_CACHE_HOME"] = "/nowhere"
    _library.cache_clear()
    return taken_bytes(*arguments)


@needs_amx_kernels
def test_every_trunk_in_tiles_keeps_its_own_memory(tmp_path: Path) -> None:
    paths = [tiny_checkpoint(tmp_path / name, hidden_size=64, num_attention_heads=4) for name in ("a", "b")]
    heads = [head for path in paths for head in heads_on(path, "embedding")]
    one, both = (activations(heads[:n], token_budget=2048, dtype="bfloat16") for n in (1, 2))
    config = heads[0].config
    assert both - one == 2048 * 2 * (6 * config.hidden_size + config.intermediate_size)


@pytest.fixture
def _without_gcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Layers are not in tiles then."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _library.cache_clear()
    yield
    _library.cache_clear()


@needs_onednn_bf16
@pytest.mark.usefixtures("_without_gcc")
def test_kernels_of_every_length_are_within_the_bound(tmp_path: Path) -> None:
    """In bf16 they are most of what a model of one layer takes."""
    directory = tiny_checkpoint(tmp_path, hidden_size=320, num_attention_heads=4, num_hidden_layers=1)
    heads = heads_on(directory, "embedding")
    bound = activations(heads, token_budget=4096, dtype="bfloat16")
    [taken] = run_on_ranks(1, taken_bytes_without_gcc, directory, 4096, "bfloat16", 150)
    assert bound / 4 <= taken <= bound


def test_quantized_weights_take_a_byte_and_loading_them_two(tmp_path: Path) -> None:
    """Scales are not counted: 4 bytes for each of a layer's 3 x 32 + 32 + 64 + 32 outputs."""
    directory = tiny_checkpoint(tmp_path, hidden_size=32, intermediate_size=64, num_hidden_layers=2)
    heads = heads_on(directory, "embedding")
    whole = rank_memory(heads, tensor_parallel_size=1, token_budget=512, dtype="bfloat16")
    found = rank_memory(heads, tensor_parallel_size=1, token_budget=512, dtype="float8")
    assert held_bytes(ShardGroup(), heads, "float8") == found.weights + 2 * 4 * (3 * 32 + 32 + 64 + 32)
    assert found.weights < whole.weights == whole.loading == found.loading


def test_a_loss_of_every_token_needs_more_than_that_of_a_share_of_them(tmp_path: Path) -> None:
    directory = tiny_checkpoint(tmp_path, is_decoder=True)
    bounds = [
        activations(heads_on(directory, "embedding"), token_budget=2048),
        activations(heads_on(directory, "masked-lm-loss"), token_budget=2048),
        activations(heads_on(directory, "masked-lm-loss", mask_probability=0.9), token_budget=2048),
        activations(heads_on(directory, "causal-lm-loss"), token_budget=2048),
    ]
    assert bounds == sorted(set(bounds))

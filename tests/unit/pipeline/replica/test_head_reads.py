"""Heads that read layers and mixes of layers, several in one pass, against the hidden states of Transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from model import ShardGroup, XLMRobertaXLConfig, XLMRobertaXLModel
from model.inference.encoder import InferenceLayer
from pipeline.batching.batch_pieces import BatchOutcome, halves, join_outcomes
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from pipeline.tasks.requests import HeadRequest
from tests.call_counts import count_calls
from tests.distributed.processes import run_on_ranks
from tests.example_task import scored_tokens
from tests.example_task.scored_tokens import WORD_LAYER, write_scored_tokens_head
from tests.oracle import oracle_of
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, make_head, tiny_checkpoint

LENGTHS = [5, 3, 40, 17, 2, 100]
NUM_LAYERS = 3
EVERY_SEQUENCE = np.arange(len(LENGTHS), dtype=np.int32)
SOME_SEQUENCES = np.array([1, 2, 5], dtype=np.int32)
# Tokens of these sequences, and of some others.
SOME_TOKENS = np.array([0, 1, 4, 8, 9, 20, 47, 49, 67, 166], dtype=np.int32)
VECTORS: dict[str, dict[str, Any]] = {
    "last": {},
    "early": {"layer": 1, "pooling": "cls"},
    "end": {"layer": -1},
    "all": {"layers": "all"},
    "greatest": {"layers": [0, -2], "pooling": "max"},
    "tokens": {"level": "token", "layers": [2, 0]},
    "token": {"level": "token", "layer": 2},
}
SCORES: dict[str, dict[str, Any]] = {
    "first": {},
    "normed": {"is_normalized": True},
    "mean": {"pooling": "mean", "is_normalized": True},
    "plain": {"pooling": "mean"},
}


@pytest.fixture(autouse=True)
def _with_new_task(monkeypatch: pytest.MonkeyPatch) -> None:
    add_task(monkeypatch.setitem)


def add_task(set_item: Any) -> None:
    set_item(TASKS, "scored-tokens", scored_tokens.TASK)
    set_item(HEAD_SECTIONS, "scored-tokens", scored_tokens.ScoredTokensHead)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("trunk"), num_hidden_layers=NUM_LAYERS)


@pytest.fixture(scope="module")
def weights(trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By head, its own mix and estimator."""
    config = XLMRobertaXLConfig.from_pretrained(trunk)
    directories = {name: tmp_path_factory.mktemp(name) for name in SCORES}
    for seed, directory in enumerate(directories.values()):
        write_scored_tokens_head(directory, config, seed)
    return directories


def heads_on(trunk: Path, weights: dict[str, Path]) -> list[Head]:
    config = read_config(str(trunk), "trunk")
    options: dict[str, Any] = {"trunk": str(trunk), "config": config}
    vectors = [make_head(name, "embedding", **options, **own) for name, own in VECTORS.items()]
    scores = [
        make_head(name, "scored-tokens", **options, weights=str(weights[name]), text="text", **own)
        for name, own in SCORES.items()
    ]
    return [*vectors, *scores]


def a_batch(trunk: Path, heads: list[Head]) -> RankBatch:
    ids = torch.randint(4, TINY_VOCAB_SIZE, (sum(LENGTHS),), generator=torch.Generator().manual_seed(3))
    requests = {}
    for i, head in enumerate(heads):
        if head.name in SCORES or getattr(head.options, "level", "") == "token":
            requests[head.name] = HeadRequest(SOME_TOKENS, of_tokens=True)
        else:
            requests[head.name] = HeadRequest(EVERY_SEQUENCE if i % 2 else SOME_SEQUENCES)
    return RankBatch(str(trunk), ids.int().numpy(), np.array(LENGTHS, dtype=np.int32), requests)


def run(
    trunk: Path, weights: dict[str, Path], dtype: str = "float32", group: ShardGroup | None = None
) -> BatchOutput:
    heads = heads_on(trunk, weights)
    settings = RankSettings("cpu", dtype, num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE)
    return ModelRunner(heads, settings, group or ShardGroup()).launch(a_batch(trunk, heads)).results()


@pytest.fixture(scope="module")
def states(trunk: Path) -> list[torch.Tensor]:
    """The hidden states `[tokens, hidden]` of each layer, of Transformers in float64, one sequence at a time."""
    oracle = oracle_of(XLMRobertaXLModel.from_pretrained(trunk, add_pooling_layer=False)).double()
    ids = torch.from_numpy(a_batch(trunk, []).input_ids).long().split(LENGTHS)
    with torch.inference_mode():
        found = [oracle(sequence[None], output_hidden_states=True).hidden_states for sequence in ids]
    return [torch.cat([layer[0] for layer in layers]) for layers in zip(*found, strict=True)]


def pooled(states_TD: torch.Tensor, pooling: str) -> torch.Tensor:
    pool = {"mean": lambda x: x.mean(0), "cls": lambda x: x[0], "max": lambda x: x.amax(0)}[pooling]
    return torch.stack([pool(sequence) for sequence in states_TD.split(LENGTHS)])


def assert_near(found: NDArray[Any], expected: torch.Tensor, where: str, tolerance: float) -> None:
    assert found.dtype == np.float32, where
    np.testing.assert_allclose(found, expected.numpy(), rtol=tolerance, atol=tolerance, err_msg=where)


def assert_vectors(results: BatchOutput, states: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    for i, (name, options) in enumerate(VECTORS.items()):
        layers = options.get("layers", [options.get("layer", -1)])
        chosen = range(NUM_LAYERS + 1) if layers == "all" else sorted(i % (NUM_LAYERS + 1) for i in layers)
        values = results[name]
        assert len(values) == len(chosen)
        for found, layer in zip(values, chosen, strict=True):
            if options.get("level") == "token":
                expected = states[layer][SOME_TOKENS.tolist()]
            else:
                sequences = EVERY_SEQUENCE if i % 2 else SOME_SEQUENCES
                expected = pooled(states[layer], options.get("pooling", "mean"))[sequences.tolist()]
            assert_near(found, expected, f"{name}, layer {layer}", tolerance)


def sequences_of(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.searchsorted(np.cumsum(LENGTHS), tokens, side="right")


def assert_scores(
    results: BatchOutput, states: list[torch.Tensor], weights: dict[str, Path], tolerance: float = 1e-5
) -> None:
    sequence = sequences_of(SOME_TOKENS)
    for seed, (name, options) in enumerate(SCORES.items()):
        tensors = write_scored_tokens_head(weights[name], XLMRobertaXLConfig.from_pretrained(weights[name]), seed)
        tensors = {key: tensor.double() for key, tensor in tensors.items()}
        mixed = torch.zeros_like(states[0])
        for weight, layer in zip(tensors["mix.weight"], states, strict=True):
            sequences = layer.split(LENGTHS)
            if options.get("is_normalized"):
                sequences = [(x - x.mean()) / (x.var(correction=0) + 1e-12).sqrt() for x in sequences]
            mixed += tensors["mix.gamma"] * weight * torch.cat(list(sequences))
        of_text = pooled(mixed, options.get("pooling", "cls"))
        scores = of_text @ tensors["estimator.weight"].t() + tensors["estimator.bias"]
        logits = states[WORD_LAYER] @ tensors["tags.weight"].t() + tensors["tags.bias"]
        assert_near(results[name][0], scores[sequence, 0], f"scores of {name}", tolerance)
        assert_near(results[name][1], logits[SOME_TOKENS.tolist()], f"tags of {name}", tolerance)


def test_heads_read_what_they_declare_in_one_pass(
    trunk: Path, weights: dict[str, Path], states: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = count_calls(monkeypatch, InferenceLayer, "forward_")
    results = run(trunk, weights)
    assert len(layers) == NUM_LAYERS
    assert_vectors(results, states)
    assert_scores(results, states, weights, tolerance=1e-4)
    assert np.array_equal(results["end"][0], results["all"][-1][SOME_SEQUENCES])


def test_a_head_of_the_last_layer_is_as_before(trunk: Path, weights: dict[str, Path]) -> None:
    """To the bit, whatever other heads read."""
    alone = ModelRunner(
        [make_head("last", "embedding", trunk=str(trunk), config=read_config(str(trunk), "trunk"))],
        RankSettings("cpu", "float32", num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE),
        ShardGroup(),
    )
    batch = a_batch(trunk, heads_on(trunk, weights))
    single = RankBatch(batch.trunk, batch.input_ids, batch.lengths, {"last": batch.requests["last"]})
    assert np.array_equal(alone.launch(single).results()["last"][0], run(trunk, weights)["last"][0])


def _of_rank(group: ShardGroup, trunk: Path, weights: dict[str, Path]) -> BatchOutput:
    add_task(dict.__setitem__)
    return run(trunk, weights, group=group)


def test_ranks_read_what_one_reads(trunk: Path, weights: dict[str, Path], states: list[torch.Tensor]) -> None:
    for results in run_on_ranks(2, _of_rank, trunk, weights):
        assert_vectors(results, states, tolerance=2e-5)
        assert_scores(results, states, weights, tolerance=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "float8"])
def test_mixes_and_heads_stay_in_fp32(
    dtype: str, trunk: Path, weights: dict[str, Path], states: list[torch.Tensor]
) -> None:
    if dtype == "int8" and not torch.cpu._is_vnni_supported():
        pytest.skip("no AVX-512 VNNI")
    heads = heads_on(trunk, weights)
    settings = RankSettings("cpu", dtype, num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE)
    shard = ModelRunner(heads, settings, ShardGroup())
    for name in SCORES:
        modules = shard._modules[name].values()
        assert {p.dtype for module in modules for p in module.parameters()} == {torch.float32}
    results = shard.launch(a_batch(trunk, heads)).results()
    assert_vectors(results, states, tolerance=0.5)
    # Layers are rounded, and the scores are those of what the same pass gave of them.
    tensors = load_file(weights["plain"] / "model.safetensors")
    mixed = np.tensordot(tensors["mix.weight"].double() * tensors["mix.gamma"], np.stack(results["all"]), axes=1)
    scores = mixed @ tensors["estimator.weight"][0].double().numpy() + tensors["estimator.bias"].item()
    np.testing.assert_allclose(results["plain"][0], scores[sequences_of(SOME_TOKENS)], rtol=1e-4, atol=1e-4)


def test_pieces_of_a_batch_give_what_the_batch_gives(trunk: Path, weights: dict[str, Path]) -> None:
    """As when a batch is tried again in halves."""
    heads = heads_on(trunk, weights)
    shard = ModelRunner(
        heads, RankSettings("cpu", "float32", num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE), ShardGroup()
    )
    batch = a_batch(trunk, heads)
    whole = shard.launch(batch).results()
    outcomes = [(piece, BatchOutcome(shard.launch(piece.batch).results())) for piece in halves(batch)]
    joined = join_outcomes(outcomes).results
    assert joined.keys() == whole.keys()
    for name, values in whole.items():
        for found, expected in zip(joined[name], values, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_layers_that_no_head_reads_are_not_computed(
    trunk: Path, weights: dict[str, Path], states: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = [head for head in heads_on(trunk, weights) if head.name in ("early", "token")]
    shard = ModelRunner(
        heads, RankSettings("cpu", "float32", num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE), ShardGroup()
    )
    batch = a_batch(trunk, heads)
    layers = count_calls(monkeypatch, InferenceLayer, "forward_")
    shard.launch(batch)
    assert len(layers) == 2
    only_early = RankBatch(batch.trunk, batch.input_ids, batch.lengths, {"early": batch.requests["early"]})
    shard.launch(only_early)
    assert len(layers) == 3

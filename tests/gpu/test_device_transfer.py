"""Batches on a GPU by way of a shard: ids and results are copied beside the kernels, and nothing is mixed up."""

from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch

from model import ShardGroup, XLMRobertaXLConfig
from model.inference.memory import peak_memory, reset_peak_memory
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.device_transfer import DeviceTransfer, PendingOutput
from pipeline.replica.memory import rank_memory
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from pipeline.tasks.requests import HeadRequest
from tests.call_counts import count_calls
from tests.checkpoints import write_random_checkpoint
from tests.oracle import assert_close
from tests.unit.pipeline.compute_fixtures import make_head

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # Said by torch's own compiler.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning"),
]

CONFIG = XLMRobertaXLConfig(
    vocab_size=1003, hidden_size=320, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512,
    max_position_embeddings=130, num_labels=3,
)  # fmt: skip
ABOUT_TWO_SECONDS = 4_000_000_000
ABOUT_TEN_MS = 20_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path, CONFIG, std=0.06)


def heads_of(directory: Path) -> list[Head]:
    """Every kind of result that needs no look at what was computed."""
    config, trunk = read_config(str(directory), "model.path"), str(directory)
    options = {"trunk": trunk, "config": config}
    return [
        make_head("topic", "text-classification", **options),
        make_head("vector", "embedding", **options),
        make_head("first", "embedding", pooling="cls", **options),
        make_head("tokens", "embedding", level="token", **options),
        make_head("loss", "masked-lm-loss", **options),
    ]


def shard_of(directory: Path, device: str, dtype: str) -> ModelRunner:
    return ModelRunner(heads_of(directory), RankSettings(device, dtype, 1, CONFIG.vocab_size), ShardGroup())


def random_batch(directory: Path, lengths: list[int], seed: int) -> RankBatch:
    rng = np.random.default_rng(seed)
    ids = rng.integers(4, CONFIG.vocab_size, sum(lengths), dtype=np.int32)
    sequences = rng.permutation(len(lengths)).astype(np.int32)
    tokens = np.flatnonzero(rng.random(len(ids)) < 0.3).astype(np.int32)
    requests = {
        **{name: HeadRequest(sequences) for name in ("topic", "vector", "first")},
        "tokens": HeadRequest(tokens, of_tokens=True),
        "loss": HeadRequest(tokens, labels=ids[tokens], of_tokens=True),
    }
    return RankBatch(str(directory), ids, np.array(lengths, dtype=np.int32), requests)


def many_batches(directory: Path, num_batches: int) -> list[RankBatch]:
    rng = np.random.default_rng(0)
    return [
        random_batch(directory, rng.integers(2, 128, int(rng.integers(1, 40))).tolist(), seed)
        for seed in range(num_batches)
    ]


def copied(results: BatchOutput) -> BatchOutput:
    """Pinned memory is given out again when nobody holds it."""
    return {name: tuple(array.copy() for array in arrays) for name, arrays in results.items()}


def assert_equal(found: BatchOutput, expected: BatchOutput) -> None:
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for mine, theirs in zip(found[name], arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_results_equal_those_of_the_cpu(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = (shard_of(directory, device, "float32") for device in ("cpu", "cuda"))
    inward = count_calls(monkeypatch, DeviceTransfer, "to_device")
    outward = count_calls(monkeypatch, DeviceTransfer, "_pinned")
    for batch in many_batches(directory, 3):
        inward.clear()
        outward.clear()
        found = cuda.launch(batch).results()
        # Ids, positions, ends, five indices and labels; and five results.
        assert (len(inward), len(outward)) == (9, 5)
        expected = cpu.launch(batch).results()
        for name, (values,) in expected.items():
            assert found[name][0].dtype == np.float32
            assert_close(torch.from_numpy(found[name][0]), torch.from_numpy(values), name=name)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_batches_that_are_launched_ahead_do_not_mix(directory: Path, dtype: str) -> None:
    shard = shard_of(directory, "cuda", dtype)
    batches = many_batches(directory, 24)
    expected = [copied(shard.launch(batch).results()) for batch in batches]
    launched: deque[PendingOutput] = deque()
    found = []
    for batch in batches:
        if len(launched) == 2:
            found.append(copied(launched.popleft().results()))
        # So that this batch is behind the last one, and not beside it.
        torch.cuda._sleep(ABOUT_TEN_MS)
        launched.append(shard.launch(batch))
    found += [copied(each.results()) for each in launched]
    for mine, theirs in zip(found, expected, strict=True):
        assert_equal(mine, theirs)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_launching_waits_for_nothing(directory: Path, dtype: str) -> None:
    """While the GPU sleeps, two batches are launched and their ids reach it; their results come behind it."""
    shard = shard_of(directory, "cuda", dtype)
    batches = many_batches(directory, 2)
    # Kernels are built, and pinned memory is there for both.
    expected = [copied(each.results()) for each in [shard.launch(batch) for batch in batches]]
    torch.cuda.synchronize()
    torch.cuda._sleep(ABOUT_TWO_SECONDS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = [shard.launch(batch) for batch in batches]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert shard._copies._inward is not None
    shard._copies._inward.synchronize()
    assert not torch.cuda.current_stream().query()
    assert not any(each.arrival.query() for each in launched if each.arrival is not None)
    for each, theirs in zip(launched, expected, strict=True):
        assert_equal(each.results(), theirs)


def test_two_batches_take_no_more_than_is_planned_with(directory: Path) -> None:
    """Beside it, up to 64 MiB that libraries take to work in."""
    heads = [head for head in heads_of(directory) if head.name in ("vector", "tokens")]
    planned = rank_memory(heads, tensor_parallel_size=1, token_budget=32768, dtype="bfloat16", device="cuda")
    shard = ModelRunner(heads, RankSettings("cuda", "bfloat16", 1, CONFIG.vocab_size), ShardGroup())
    ids = np.full(32768, 5, dtype=np.int32)
    requests = {
        "vector": HeadRequest(np.arange(256, dtype=np.int32)),
        "tokens": HeadRequest(np.arange(32768, dtype=np.int32), of_tokens=True),
    }
    batch = RankBatch(str(directory), ids, np.full(256, 128, dtype=np.int32), requests)
    before = torch.cuda.memory_allocated()
    reset_peak_memory("cuda")
    for each in [shard.launch(batch), shard.launch(batch)]:
        each.results()
    taken = peak_memory("cuda") - before
    assert planned.activations / 3 < taken <= planned.activations + 2**26

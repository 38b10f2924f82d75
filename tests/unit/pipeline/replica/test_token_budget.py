from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model import XLMRobertaXLConfig
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.memory import rank_memory
from pipeline.replica.token_budget import resolve_token_budget
from tests.unit.pipeline.compute_fixtures import job_of, make_head

GIB = 2**30
XL = XLMRobertaXLConfig()
XXL = XLMRobertaXLConfig(hidden_size=4096, num_hidden_layers=48, num_attention_heads=32, intermediate_size=16384)


def job_with(directory: Path, config: XLMRobertaXLConfig, task: str, **model: Any) -> tuple[JobConfig, list[Head]]:
    """A job with a head on a model of that geometry, of which nothing but `config.json` is there."""
    config.save_pretrained(directory)
    head = make_head("head", task, trunk=str(directory), config=read_config(str(directory), "model.path"))
    return job_of(directory, {"head": {"task": task}}, model=model), [head]


def never() -> int:
    raise AssertionError("memory was asked for")


def resolve(
    directory: Path,
    config: XLMRobertaXLConfig,
    free_bytes: Callable[[], int],
    *,
    task: str = "embedding",
    device: str = "cuda",
    dtype: str = "bfloat16",
    **model: Any,
) -> int:
    job, heads = job_with(directory, config, task, **model)
    return resolve_token_budget(job.model, heads, device=device, dtype=dtype, free_bytes=free_bytes)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_number_stands(device: str, tmp_path: Path) -> None:
    assert resolve(tmp_path, XL, never, device=device, token_budget=700) == 700


def test_a_cpu_is_not_asked(tmp_path: Path) -> None:
    assert resolve(tmp_path, XL, never, device="cpu") == 8192


@pytest.mark.parametrize(
    ("config", "task", "size", "free_gib"),
    [
        (XL, "embedding", 1, 8.5),
        (XL, "causal-lm-loss", 1, 9),
        (XXL, "embedding", 1, 24.5),
        (XXL, "masked-lm-loss", 1, 25),
        (XXL, "embedding", 2, 12.5),
    ],
)
def test_as_many_tokens_as_fit(
    config: XLMRobertaXLConfig, task: str, size: int, free_gib: float, tmp_path: Path
) -> None:
    """What was found fits into 85 % of the memory, twice as much does not."""
    free = int(free_gib * GIB)
    budget = resolve(tmp_path, config, lambda: free, task=task, tensor_parallel_size=size)
    _, heads = job_with(tmp_path, config, task)
    taken, more = (
        rank_memory(heads, tensor_parallel_size=size, token_budget=n, dtype="bfloat16", device="cuda")
        for n in (budget, 2 * budget)
    )
    assert taken.weights + taken.activations <= 0.85 * free < more.weights + more.activations
    assert 512 <= budget < 32768


def test_it_has_an_upper_end(tmp_path: Path) -> None:
    assert resolve(tmp_path, XL, lambda: 139 * GIB) == 32768


def test_what_loading_takes_must_fit_too(tmp_path: Path) -> None:
    """In float8 the weights are half as large once they are there, and not before."""
    free = 7 * GIB
    job, heads = job_with(tmp_path, XL, "embedding")
    memory = rank_memory(heads, tensor_parallel_size=1, token_budget=512, dtype="float8", device="cuda")
    assert memory.weights + memory.activations < 0.85 * free < memory.loading
    with pytest.raises(ConfigError, match=r"found 7\.0 GiB"):
        resolve_token_budget(job.model, heads, device="cuda", dtype="float8", free_bytes=lambda: free)


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path, XXL, lambda: 16 * GIB)
    message = str(caught.value)
    assert message.startswith("model.path: found 16.0 GiB of free memory on a GPU, expected at least 2")
    assert "raise model.tensor_parallel_size" in message

from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.resolve import resolve_heads
from pipeline.replica.deployment import deploy, resolve_dtype
from tests.checkpoints import write_random_checkpoint
from tests.tiny_tokenizer import write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, job_of, tiny_config


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_tiny_sentencepiece(tmp_path)
    return write_random_checkpoint(tmp_path, tiny_config(), dtype=torch.bfloat16)


def job(directory: Path, **model: Any) -> JobConfig:
    return job_of(directory, {"vector": {"task": "embedding"}}, model=model)


@pytest.mark.parametrize(
    ("dtype", "stored", "device", "expected"),
    [
        ("float16", torch.float32, "cpu", "float16"),
        ("auto", torch.float32, "cuda", "bfloat16"),
        ("auto", torch.float32, "cpu", "float32"),
        ("auto", torch.bfloat16, "cpu", "bfloat16"),
        ("auto", torch.float16, "cpu", "bfloat16"),
        ("int8", torch.float32, "cpu", "int8"),
        ("float8", torch.float32, "cuda", "float8"),
    ],
)
def test_the_dtype_is_as_asked_or_as_fits_the_device(
    dtype: str, stored: torch.dtype, device: str, expected: str, tmp_path: Path
) -> None:
    write_random_checkpoint(tmp_path, tiny_config(), dtype=stored)
    assert resolve_dtype(job(tmp_path, dtype=dtype).model, device) == expected


@pytest.mark.parametrize(("dtype", "device", "other"), [("int8", "cuda", "float8"), ("float8", "cpu", "int8")])
def test_eight_bits_are_refused_where_they_are_slow(dtype: str, device: str, other: str, directory: Path) -> None:
    with pytest.raises(ConfigError, match=f'found "{dtype}" and the device {device}, .*; use "{other}" or "bfl'):
        resolve_dtype(job(directory, dtype=dtype).model, device)


def set_cluster(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float]) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    total = {name: sum(node.get(name, 0) for node in nodes) for node in nodes for name in node}
    monkeypatch.setattr(ray, "cluster_resources", lambda: total)


@pytest.mark.parametrize(
    ("model", "nodes", "expected"),
    [
        ({}, [{"CPU": 8}], ("cpu", "bfloat16", 1, 8, 8192)),
        ({}, [{"CPU": 8, "GPU": 2}], ("cuda", "bfloat16", 1, 1, 32768)),
        ({"device": "cpu", "dtype": "float32"}, [{"CPU": 8, "GPU": 2}], ("cpu", "float32", 1, 8, 8192)),
        ({"replicas": "auto"}, [{"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 1}], ("cuda", "bfloat16", 3, 1, 32768)),
        ({"replicas": 3, "cpus_per_rank": 2, "token_budget": 777}, [{"CPU": 9}], ("cpu", "bfloat16", 3, 2, 777)),
    ],
)
def test_a_job_is_laid_out_over_what_the_cluster_has(
    model: dict[str, Any],
    nodes: list[dict[str, float]],
    expected: tuple[str, str, int, int, int],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_cluster(monkeypatch, *nodes)
    monkeypatch.setattr("pipeline.replica.deployment.free_bytes_on_cluster", lambda: 2**36)
    wanted = job(directory, **model)
    found = deploy(wanted, resolve_heads(wanted), cores_per_node=8, num_fragments=10)
    shard = found.shard
    assert (shard.device, shard.dtype, found.num_replicas, shard.num_threads, found.token_budget) == expected
    assert found.shard.num_usable_tokens == TINY_VOCAB_SIZE


def test_a_run_that_goes_on_keeps_its_token_budget(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_cluster(monkeypatch, {"CPU": 8, "GPU": 1})
    wanted = job(directory)
    found = deploy(wanted, resolve_heads(wanted), cores_per_node=8, num_fragments=10, kept_token_budget=1024)
    assert found.token_budget == 1024


def test_gpus_that_are_not_there_are_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_cluster(monkeypatch, {"CPU": 8})
    wanted = job(directory, device="cuda")
    with pytest.raises(ConfigError, match=r"^model\.device: found no GPU on the cluster"):
        deploy(wanted, resolve_heads(wanted), cores_per_node=8, num_fragments=10)

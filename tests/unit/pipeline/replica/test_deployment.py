from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.resolve import resolve_heads
from pipeline.monitoring.cluster_state import ClusterState, Node
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.replica.deployment import deploy, device_on, resolve_dtype
from pipeline.replica.room import RoomWait
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


def cluster(*nodes: dict[str, float]) -> ClusterState:
    return ClusterState(tuple(Node(str(i), f"10.0.0.{i}", node, node) for i, node in enumerate(nodes)))


def waiting() -> RoomWait:
    return RoomWait(None, Phases(lambda line: None), Messages())


@pytest.mark.parametrize(
    ("model", "nodes", "expected"),
    [
        ({}, [{"CPU": 10}], ("cpu", "bfloat16", 1, 8, 8192)),
        ({}, [{"CPU": 8, "GPU": 2}], ("cuda", "bfloat16", 1, 1, 32768)),
        ({"device": "cpu", "dtype": "float32"}, [{"CPU": 10, "GPU": 2}], ("cpu", "float32", 1, 8, 8192)),
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
    monkeypatch.setattr("pipeline.replica.deployment.free_bytes_on_cluster", lambda wait: 2**36)
    wanted = job(directory, **model)
    found = deploy(wanted, resolve_heads(wanted), cluster(*nodes), 8, num_fragments=10, wait=waiting())
    shard = found.shard
    assert (
        shard.device,
        shard.dtype,
        found.layout.num_replicas,
        shard.num_threads,
        found.token_budget,
    ) == expected
    assert found.shard.num_usable_tokens == TINY_VOCAB_SIZE


def test_a_run_that_goes_on_keeps_its_token_budget(directory: Path) -> None:
    wanted, gpu = job(directory), cluster({"CPU": 8, "GPU": 1})
    found = deploy(wanted, resolve_heads(wanted), gpu, 8, num_fragments=10, wait=waiting(), kept_token_budget=1024)
    assert found.token_budget == 1024


def test_gpus_that_are_not_there_are_refused_unless_they_may_come(directory: Path) -> None:
    wanted = job(directory, device="cuda").model
    with pytest.raises(ConfigError, match=r"^model\.device: found no GPU on the cluster"):
        device_on(cluster({"CPU": 8}), wanted)
    assert device_on(replace(cluster({"CPU": 8}), has_autoscaler=True), wanted) == "cuda"
    assert device_on(replace(cluster({"CPU": 8}), has_autoscaler=True), job(directory).model) == "cpu"

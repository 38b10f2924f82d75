import resource
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from pipeline.config.job import JobConfig
from pipeline.driver.ray_connection import MIN_OPEN_FILES, connect, deploy, ray_cluster, resolve_dtype
from pipeline.errors import ConfigError, InputError, JobError
from pipeline.heads.resolve import resolve_heads
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
    monkeypatch.setattr("pipeline.driver.ray_connection.free_bytes_on_cluster", lambda: 2**36)
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


@pytest.mark.parametrize(
    ("nodes", "cores"),
    [([{"CPU": 8}, {"CPU": 4}], 3), ([{}, {"CPU": 16}], 15), ([{"CPU": 0}, {"CPU": 1}], 1), ([{"GPU": 1}], 1)],
)
def test_the_cores_of_a_joined_cluster_are_those_of_its_smallest_worker(
    nodes: list[dict[str, float]], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = []
    monkeypatch.setattr(ray, "init", lambda **options: joined.append(options["address"]))
    set_cluster(monkeypatch, *nodes)
    assert connect("10.0.0.1:6379") == cores
    assert joined == ["10.0.0.1:6379"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50.0"),
        PermissionError(13, "Permission denied", "/home/.ray"),
        ConnectionError("ray client connection timeout"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("address", ["local", "10.0.0.1:6379"])
def test_whatever_keeps_ray_from_starting_is_one_line_with_the_remedy(
    address: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ConfigError) as refused, ray_cluster(address):
        pass
    message = str(refused.value)
    assert message.startswith(f"--address {address}: found that Ray does not start ({type(error).__name__}: ")
    assert "\n" not in message
    assert "; expected a " in message


@pytest.mark.parametrize("limit", [64, MIN_OPEN_FILES - 1])
def test_too_few_open_files_are_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    with pytest.raises(
        ConfigError, match=rf"^ulimit -n: found a hard limit of {limit} open files, expected at least"
    ):
        connect("local")


class UnseenError(RayError):
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnseenError("gone"), "a process that the run depends on was lost; finished parts are kept"),
        (RayTaskError("f", "stack", InputError("column 'x' is missing")), "column 'x' is missing"),
        (RayTaskError("f", "stack", KeyError("x")), "an error that was not foreseen, its stack is above"),
    ],
)
def test_what_ends_a_run_says_how_to_go_on(
    error: RayError, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "nodes", list)
    with pytest.raises(JobError) as ended, ray_cluster("10.0.0.1:6379"):
        raise error
    assert str(ended.value).startswith(message)
    assert ("stack" in capsys.readouterr().err) == ("foreseen" in message)

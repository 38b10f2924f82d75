"""The cluster a job runs on: joining or starting it, and laying the job out over it."""

import logging
import os
import resource
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from pipeline.config.job import JobConfig, ModelSection
from pipeline.driver.cluster_address import LOCAL
from pipeline.driver.dataset import Deployment
from pipeline.errors import ConfigError, JobError, PipelineError
from pipeline.heads.resolve import Head, read_config
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.replica.model_runner import ShardSettings
from pipeline.replica.placement import lay_out
from pipeline.replica.token_budget import free_bytes_on_cluster, resolve_token_budget

# Below it, Ray's own processes have died in the middle of a run.
MIN_OPEN_FILES = 1024
_GO_ON = "finished parts are kept, run the same command again to go on from there"
_LOCAL_REMEDY = (
    "expected a writable home folder (HOME, for Ray's token) and a writable folder with a short path for Ray's "
    "sessions (RAY_TMPDIR, by default /tmp), whose ray/session_latest/logs say more if Ray got that far"
)
_CLUSTER_REMEDY = (
    "expected a cluster with this version of Ray and Python that has a node on this machine; from elsewhere use "
    "`ray job submit`"
)
# Ranks own the cores of a local run; tasks that read, tokenize and write come and go beside them.
_NUM_TASK_CPUS = 2


@contextmanager
def ray_cluster(address: str) -> Iterator[int]:
    """Ray at `address` while the block runs; yields the CPU cores that ranks can have on a node.

    Raises:
        ConfigError: Ray cannot be started here, or the cluster cannot be joined.
        JobError: a process that the run depends on was lost, or an error occurred in one that no one has foreseen.
    """
    try:
        yield connect(address)
    except RayError as error:
        raise JobError(_explanation(error)) from None
    finally:
        ray.shutdown()


def _explanation(error: RayError) -> str:
    """What ended a run, and how to go on; the stack of an error that no one has foreseen is printed."""
    if isinstance(error, RayTaskError):
        if isinstance(error.cause, PipelineError):
            return str(error.cause)
        traceback.print_exception(error)
        return f"an error that was not foreseen, its stack is above; {_GO_ON}"
    # Where an actor could not be made, this holds why.
    return f"a process that the run depends on was lost; {_GO_ON}\n{type(error).__name__}: {error}"


def connect(address: str) -> int:
    """Join the cluster at `address`, or start one for this process alone with "local".

    Args:
        address: "local" or HOST:PORT, as `reachable_cluster` returns it.

    Returns:
        CPU cores that ranks can have on a node.

    Raises:
        ConfigError: Ray cannot be started here, or the cluster cannot be joined.
    """
    # Ray Data says on the terminal what the progress line says already; its own log files keep everything.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address == LOCAL:
        # Says that tokens are on, which is as it should be.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        cores = len(os.sched_getaffinity(0))
        _require_open_files()
        _start_ray(_LOCAL_REMEDY, address=address, num_cpus=cores + _NUM_TASK_CPUS, include_dashboard=False)
        return cores
    _start_ray(_CLUSTER_REMEDY, address=address)
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    # Heads are often started without CPUs, so that nothing runs there.
    return max(1, min((n for n in cpus if n), default=1) - 1)


def _start_ray(remedy: str, *, address: str, **options: Any) -> None:
    """Call `ray.init`; whatever it raises becomes one line."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **options)
    except Exception as error:  # Ray raises errors of many types here, none of them documented
        ray.shutdown()
        reason = " ".join(str(error).split()) or type(error).__name__
        found = f"found that Ray does not start ({type(error).__name__}: {reason})"
        raise ConfigError(f"--address {address}: {found}; {remedy}") from None


def _require_open_files() -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < MIN_OPEN_FILES:
        raise ConfigError(
            f"ulimit -n: found a hard limit of {limit} open files, expected at least {MIN_OPEN_FILES} for Ray on "
            "this machine; raise it (for example to 8192), or join a cluster with --address"
        )


def deploy(
    job: JobConfig,
    heads: Sequence[Head],
    cores_per_node: int,
    *,
    num_fragments: int,
    kept_token_budget: int | None = None,
) -> Deployment:
    """Decide device, dtype, resources of a rank, number of replicas and token budget on the connected cluster.

    Args:
        num_fragments: fragments to be done; more replicas than that would have nothing to do.
        kept_token_budget: what "auto" came to when the output was begun.

    Raises:
        ConfigError: GPUs are asked for and there are none, or not one replica fits.
    """
    num_gpus = ray.cluster_resources().get("GPU", 0)
    device = job.model.device
    if device == "auto":
        device = "cuda" if num_gpus else "cpu"
    if device == "cuda" and not num_gpus:
        raise ConfigError(
            "model.device: found no GPU on the cluster, expected at least one for 'cuda'; "
            'use model.device = "cpu", or add nodes with GPUs'
        )
    resources, num_replicas = lay_out(job.model, device, cores_per_node, num_fragments)
    dtype = resolve_dtype(job.model, device)
    token_budget = kept_token_budget or resolve_token_budget(
        job.model, heads, device=device, dtype=dtype, free_bytes=free_bytes_on_cluster
    )
    settings = ShardSettings(
        device, dtype, resources.num_threads, num_usable_tokens=load_tokenizer(job.model.path).vocab_size
    )
    return Deployment(num_replicas, resources, token_budget, settings)


def resolve_dtype(model: ModelSection, device: str) -> str:
    """What is computed in. "auto" is bfloat16 on GPUs; on CPUs as stored, but not float16 (slow there).

    Raises:
        ConfigError: int8 on GPUs, or float8 on CPUs.
    """
    home, other = {"int8": ("cpu", "float8"), "float8": ("cuda", "int8")}.get(model.dtype, (device, ""))
    if device != home:
        raise ConfigError(
            f'model.dtype: found "{model.dtype}" and the device {device}, expected {home} for it; '
            f'use "{other}" or "bfloat16", or another model.device'
        )
    if model.dtype != "auto":
        return model.dtype
    if device == "cuda":
        return "bfloat16"
    stored = read_config(model.path, "model.path").torch_dtype
    return "bfloat16" if stored in (torch.bfloat16, torch.float16) else "float32"


def default_device() -> str:
    """The device that "auto" would choose on a cluster like this machine."""
    return "cuda" if torch.cuda.is_available() else "cpu"

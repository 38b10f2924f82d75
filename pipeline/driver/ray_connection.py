"""The cluster a job runs on: joining or starting it, and laying the job out over it."""

import logging
import os
from collections.abc import Sequence

import ray
import torch

from pipeline.config.job import JobConfig, ModelSection
from pipeline.driver.dataset import Deployment
from pipeline.encoding.fragment import load_tokenizer
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.model_runner import ShardSettings
from pipeline.replica.placement import rank_resources, replicas_that_fit
from pipeline.replica.token_budget import free_bytes_on_cluster, resolve_token_budget

# Ranks own the cores of a local run; tasks that read, tokenize and write come and go beside them.
_NUM_TASK_CPUS = 2


def connect(address: str) -> int:
    """Join the cluster at `address`, or start one for this process alone with "local".

    Returns:
        CPU cores that ranks can have on a node.
    """
    # Ray Data says on the terminal what the progress line says already; its own log files keep everything.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address == "local":
        # Says that tokens are on, which is as it should be.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        cores = len(os.sched_getaffinity(0))
        ray.init(
            address="local",
            num_cpus=cores + _NUM_TASK_CPUS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        return cores
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    # Heads are often started without CPUs, so that nothing runs there.
    return max(1, min((n for n in cpus if n), default=1) - 1)


def deploy(
    job: JobConfig, heads: Sequence[Head], cores_per_node: int, *, kept_token_budget: int | None = None
) -> Deployment:
    """Decide device, dtype, resources of a rank, number of replicas and token budget on the connected cluster.

    Args:
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
    resources = rank_resources(job.model, device, cores_per_node)
    replicas = job.model.replicas
    if replicas == "auto":
        replicas = replicas_that_fit(job.model.tensor_parallel_size, resources)
    dtype = resolve_dtype(job.model, device)
    token_budget = kept_token_budget or resolve_token_budget(
        job.model, heads, device=device, dtype=dtype, free_bytes=free_bytes_on_cluster
    )
    settings = ShardSettings(
        device, dtype, resources.num_threads, num_usable_tokens=load_tokenizer(job.model.path).vocab_size
    )
    return Deployment(replicas, resources, token_budget, settings)


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
    return "bfloat16" if stored in ("bfloat16", "float16") else "float32"


def default_device() -> str:
    """The device that "auto" would choose on a cluster like this machine."""
    return "cuda" if torch.cuda.is_available() else "cpu"

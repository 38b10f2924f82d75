"""Deploy a job on a cluster: device, dtype, layout of the replicas, token budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.job import JobConfig, ModelSection
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.monitoring.cluster_state import ClusterState
from pipeline.replica.layout import Layout, lay_out
from pipeline.replica.rank_settings import RankSettings
from pipeline.replica.room import RoomWait
from pipeline.replica.token_budget import free_bytes_on_cluster, resolve_token_budget


@dataclass(frozen=True)
class Deployment:
    """How a job runs on a cluster."""

    layout: Layout
    token_budget: int
    shard: RankSettings


def deploy(
    job: JobConfig,
    heads: Sequence[Head],
    cluster: ClusterState,
    cores_per_node: int,
    *,
    num_fragments: int,
    wait: RoomWait,
    kept_token_budget: int | None = None,
) -> Deployment:
    """The layout of a job on the connected cluster.

    Args:
        num_fragments: the fragments to do, which bound the number of replicas.
        wait: for a GPU, whose memory may decide.
        kept_token_budget: the token budget that the output was begun with.

    Raises:
        ConfigError: GPUs are asked for and there are none, or not one replica fits.
        NoRoomError: no GPU becomes free in time to look at its memory.
    """
    device = device_on(cluster, job.model)
    layout = lay_out(job.model, device, cores_per_node, num_fragments, cluster)
    dtype = resolve_dtype(job.model, device)
    token_budget = kept_token_budget or resolve_token_budget(
        job.model, heads, device=device, dtype=dtype, free_bytes=lambda: free_bytes_on_cluster(wait)
    )
    settings = RankSettings(
        device, dtype, layout.resources.num_threads, num_usable_tokens=load_tokenizer(job.model.path).vocab_size
    )
    return Deployment(layout, token_budget, settings)


def device_on(cluster: ClusterState, model: ModelSection) -> str:
    """The device to compute on. Raises ConfigError if GPUs are asked for and there are none, nor may any come."""
    num_gpus = cluster.total("GPU")
    if model.device == "auto":
        return "cuda" if num_gpus else "cpu"
    if model.device == "cuda" and not num_gpus and not cluster.has_autoscaler:
        raise ConfigError(
            "model.device: found no GPU on the cluster, expected at least one for 'cuda'; "
            'use model.device = "cpu", or add nodes with GPUs'
        )
    return model.device


def resolve_dtype(model: ModelSection, device: str) -> str:
    """The dtype to compute in. "auto" is bfloat16 on GPUs; on CPUs as stored, but bfloat16 for float16.

    Raises ConfigError for int8 on GPUs and float8 on CPUs.
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
    stored = read_config(model.path, "model.path").dtype_name
    return "bfloat16" if stored in ("bfloat16", "float16") else "float32"


def default_device() -> str:
    """The device that "auto" stands for on a cluster like this machine."""
    # Imported here, as a run does without torch in its driver.
    import torch  # noqa: PLC0415

    return "cuda" if torch.cuda.is_available() else "cpu"

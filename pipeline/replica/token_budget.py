"""What `model.token_budget = "auto"` comes to: on a GPU as many tokens a batch as its free memory holds."""

from collections.abc import Callable, Sequence

import ray
import torch
from ray.exceptions import GetTimeoutError

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head
from pipeline.ray_actors import get_result
from pipeline.replica.memory import rank_memory

# A CPU takes a batch in slices: more tokens make it no faster.
CPU_TOKEN_BUDGET = 8192
# From the upper end on, what a batch costs beside its computation is next to nothing.
_CANDIDATES = tuple(2**n for n in range(9, 16))
# Of the free memory, what a rank plans with; the rest is for libraries and for gaps between blocks.
_SHARE = 0.85
_PROBE_TIMEOUT_S = 120.0
_GIB = 2**30


def resolve_token_budget(
    model: ModelSection,
    heads: Sequence[Head],
    *,
    device: str,
    dtype: str,
    free_bytes: Callable[[], int],
) -> int:
    """Tokens a batch: as configured, else `CPU_TOKEN_BUDGET`, else the most that fit on a GPU.

    Args:
        dtype: a resolved `model.dtype`.
        free_bytes: tells the free memory of a GPU; asked only where that decides.

    Raises:
        ConfigError: weights and the smallest batch do not fit.
    """
    if model.token_budget != "auto":
        return model.token_budget
    if device == "cpu":
        return CPU_TOKEN_BUDGET
    free = free_bytes()
    needed = [_rank_bytes(model, heads, budget, dtype) for budget in _CANDIDATES]
    fitting = [budget for budget, size in zip(_CANDIDATES, needed, strict=True) if size <= _SHARE * free]
    if not fitting:
        raise ConfigError(
            f"model.path: found {free / _GIB:.1f} GiB of free memory on a GPU, expected at least "
            f"{needed[0] / _SHARE / _GIB:.1f} GiB for a rank's weights and a batch of {_CANDIDATES[0]} tokens; "
            "raise model.tensor_parallel_size, or use GPUs with more memory"
        )
    return max(fitting)


def _rank_bytes(model: ModelSection, heads: Sequence[Head], token_budget: int, dtype: str) -> int:
    """The most that a rank takes at a time, while it loads or while it computes."""
    memory = rank_memory(
        heads,
        tensor_parallel_size=model.tensor_parallel_size,
        token_budget=token_budget,
        dtype=dtype,
        device="cuda",
    )
    return max(memory.loading, memory.weights + memory.activations)


def free_bytes_on_cluster() -> int:
    """Free memory of a GPU of the cluster that this process is connected to, as Ray would give it to a rank.

    Raises:
        ConfigError: no GPU comes free.
    """
    # Ray ends the process of such a task, and so what CUDA holds for it is free again.
    task = ray.remote(num_gpus=1, num_cpus=0)(free_bytes_here)
    try:
        found: int = get_result(task.remote(), timeout_s=_PROBE_TIMEOUT_S)
    except GetTimeoutError:
        raise ConfigError(
            f"model.token_budget: found no free GPU for {_PROBE_TIMEOUT_S:.0f} s, expected one to look at the "
            "memory of; wait for other jobs to end, or add nodes"
        ) from None
    return found


def free_bytes_here() -> int:
    """Free memory of this process's GPU."""
    free, _ = torch.cuda.mem_get_info()
    return free

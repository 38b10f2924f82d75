"""Resolve `model.token_budget = "auto"`: on a GPU, as many tokens per batch as fit in its free memory."""

from collections.abc import Callable, Sequence

import ray

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head
from pipeline.ray_actors import get_result
from pipeline.replica.room import RoomWait

# A CPU computes a batch in slices, so larger batches are not faster.
CPU_TOKEN_BUDGET = 8192
# Beyond the largest, the overhead of a batch is negligible.
_CANDIDATES = tuple(2**n for n in range(9, 16))
# The share of free memory to plan with; the rest is for libraries and fragmentation.
_SHARE = 0.85
_GIB = 2**30


def resolve_token_budget(
    model: ModelSection, heads: Sequence[Head], *, device: str, dtype: str, free_bytes: Callable[[], int]
) -> int:
    """Tokens per batch: as configured; with "auto", `CPU_TOKEN_BUDGET` on CPUs, and the most that fit on a GPU.

    `free_bytes` is only called if the free memory of a GPU decides. Raises ConfigError if the weights and the
    smallest batch do not fit.
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
    """The peak memory of a rank, while loading or computing."""
    # Imported here, as it loads torch.
    from pipeline.replica.memory import rank_memory  # noqa: PLC0415

    memory = rank_memory(
        heads,
        tensor_parallel_size=model.tensor_parallel_size,
        token_budget=token_budget,
        dtype=dtype,
        device="cuda",
    )
    return max(memory.loading, memory.weights + memory.activations)


def free_bytes_on_cluster(wait: RoomWait) -> int:
    """Free memory of a GPU of the connected cluster. Raises NoRoomError if no GPU becomes free in time."""
    # Ray ends the process of a GPU task, which frees its CUDA context.
    ref = ray.remote(num_gpus=1, num_cpus=0)(free_bytes_here).remote()
    wait.until(lambda: bool(ray.wait([ref], timeout=0)[0]), lambda: "a GPU, to look at its memory")
    found: int = get_result(ref)
    return found


def free_bytes_here() -> int:
    """Free memory of this process's GPU."""
    import torch  # noqa: PLC0415

    return torch.cuda.mem_get_info()[0]

"""Check before any work that all weights of a job are finite, in their files and in `model.dtype`.

The bits of floating-point numbers without the sign are ordered like the numbers, with infinity and NaN at the end.
So it is enough to find the largest bits of a tensor, at memory bandwidth.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import ShardGroup
from model.checkpoints.parameters import StoredParameter, parameters_of
from model.checkpoints.reader import Checkpoint
from model.inference.quantization import Precision
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.modules import build_head, build_trunk
from pipeline.heads.resolve import Head, trunk_field, weights_field

# Numbers per task of a thread, and per block, which stays in cache for the second of its two passes.
_TASK_SIZE = 2**22
_BLOCK_SIZE = 2**17
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_ORDERED = (*_FLOATS, torch.float8_e4m3fn, torch.float8_e5m2)


def require_finite_weights(job: JobConfig, heads: Sequence[Head]) -> None:
    """Check the tensors of trunks and heads (before equal trunks are shared), on all cores.

    Raises ConfigError if a tensor has NaN or infinity, or a number that becomes infinite in `model.dtype`.
    """
    checkpoints: dict[str, Checkpoint] = {}
    checked: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for directory, parameter, field in _parameters(job, heads):
            if directory not in checkpoints:
                checkpoints[directory] = Checkpoint(directory)
            checkpoint = checkpoints[directory]
            name = parameter.stored_name(checkpoint)
            if name is not None and (directory, name) not in checked:
                checked.add((directory, name))
                _require_finite(checkpoint, name, field, job.model.dtype, pool)


def _parameters(job: JobConfig, heads: Sequence[Head]) -> Iterator[tuple[str, StoredParameter, str]]:
    """Each parameter, with its directory and the job's field that names the directory."""
    trunks = {head.trunk: build_trunk(head.trunk, ShardGroup()) for head in heads}
    own = {path: parameters_of(trunk) for path, trunk in trunks.items()}
    for head in heads:
        for parameter in own[head.trunk]:
            yield head.trunk, parameter, trunk_field(head.name, head.options)
    for head in heads:
        field = weights_field(head.name, head.options, job.model.path)
        tied = {id(parameter.parameter) for parameter in own[head.trunk]}
        for prefix, module in build_head(head, trunks[head.trunk]).items():
            for parameter in parameters_of(module, prefix):
                if id(parameter.parameter) not in tied:
                    yield head.options.weights, parameter, field


def _require_finite(checkpoint: Checkpoint, name: str, field: str, model_dtype: str, pool: Executor) -> None:
    tensor = checkpoint.read(name)
    if not tensor.is_floating_point():
        return
    # "auto" stands for bfloat16 or float32, whose largest numbers are about the same.
    dtype = Precision.named("bfloat16" if model_dtype == "auto" else model_dtype).dtype
    # Other float8 dtypes encode NaN as negative zero.
    tensor = tensor if tensor.dtype in _ORDERED else tensor.float()
    largest = largest_bits(tensor, pool)
    if largest < first_bits_beyond(dtype, tensor.dtype):
        return
    stored_name, file = checkpoint.location(name)
    if largest >= first_bits_beyond(tensor.dtype, tensor.dtype):
        raise ConfigError(
            f"{field}: {file}: tensor {stored_name} holds NaN or infinity, expected finite weights; download the "
            "file again, or name another checkpoint"
        )
    remedy = 'set model.dtype = "bfloat16" or "float32"' if dtype == torch.float16 else "name another checkpoint"
    raise ConfigError(
        f'model.dtype: found "{model_dtype}", expected one that holds the weights of {field}; {file}: tensor '
        f"{stored_name} has numbers up to {float(_number(largest, tensor.dtype)):.4g}, and {dtype} ends at "
        f"{torch.finfo(dtype).max:.4g}; {remedy}"
    )


def largest_bits(tensor: Tensor, pool: Executor) -> int:
    """The largest bits, without the sign, of a floating-point tensor of any shape, as an integer."""
    bits: NDArray[np.signedinteger] = (
        tensor.detach().contiguous().view(_INTEGERS[tensor.itemsize]).numpy().reshape(-1)
    )
    tasks = (bits[begin : begin + _TASK_SIZE] for begin in range(0, len(bits), _TASK_SIZE))
    return max(pool.map(_largest_of, tasks), default=0)


def _largest_of(bits: NDArray[np.signedinteger]) -> int:
    """The maximum of positive numbers is that of signed integers; of negative numbers, of unsigned integers."""
    without_sign = int(np.iinfo(bits.dtype).max)
    unsigned = bits.view(f"u{bits.itemsize}")
    blocks = (slice(begin, begin + _BLOCK_SIZE) for begin in range(0, len(bits), _BLOCK_SIZE))
    return max(max(int(bits[block].max()), int(unsigned[block].max()) & without_sign) for block in blocks)


@cache
def first_bits_beyond(dtype: torch.dtype, stored: torch.dtype) -> int:
    """The smallest bits of a `stored` number that is not finite after conversion to `dtype`, as an integer."""
    positive = range(2 ** (8 * stored.itemsize - 1) - 1)
    return bisect_left(
        positive, True, key=lambda bits: not bool(_number(bits, stored).to(dtype).double().isfinite())
    )


def _number(bits: int, dtype: torch.dtype) -> Tensor:
    return torch.tensor(bits, dtype=_INTEGERS[dtype.itemsize]).view(dtype)

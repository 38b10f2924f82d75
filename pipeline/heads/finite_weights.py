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
from numpy.typing import NDArray

from model.checkpoints.reader import Checkpoint
from model.layers.parameter_shapes import ParameterShape
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.parameters import parameters_of_head, parameters_of_trunk
from pipeline.heads.resolve import Head, trunk_field, weights_field

# Numbers per task of a thread, and per block, which stays in cache for the second of its two passes.
_TASK_SIZE = 2**22
_BLOCK_SIZE = 2**17
# Bits of the exponent and of the fraction.
_LAYOUTS = {"float64": (11, 52), "float32": (8, 23), "bfloat16": (8, 7), "float16": (5, 10)}
# Quantized layers compute the rest in it. "auto" stands for it or float32, which ends at about the same number.
_COMPUTED_IN = dict.fromkeys(("auto", "int8", "float8"), "bfloat16")


def require_finite_weights(job: JobConfig, heads: Sequence[Head]) -> None:
    """Check the tensors of trunks and heads (before equal trunks are shared), on all cores.

    Raises ConfigError if a tensor has NaN or infinity, or a number that becomes infinite in `model.dtype`.
    """
    checkpoints: dict[str, Checkpoint] = {}
    checked: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for directory, parameter, field, dtype in _parameters(job, heads):
            if directory not in checkpoints:
                checkpoints[directory] = Checkpoint(directory)
            checkpoint = checkpoints[directory]
            name = parameter.stored_name(checkpoint)
            if name is not None and (directory, name) not in checked:
                checked.add((directory, name))
                _require_finite(checkpoint, name, field, dtype, pool)


def _parameters(job: JobConfig, heads: Sequence[Head]) -> Iterator[tuple[str, ParameterShape, str, str]]:
    """Each parameter, with its directory, the job's field that names the directory, and what it is computed in."""
    dtype = job.model.dtype
    own = {trunk: parameters_of_trunk(trunk) for trunk in dict.fromkeys(head.trunk for head in heads)}
    for head in heads:
        for parameter in own[head.trunk]:
            yield head.trunk, parameter, trunk_field(head.name, head.options), dtype
    for head in heads:
        field = weights_field(head.name, head.options, job.model.path)
        layers = head.task.layers(head.options, head.config)
        for name, parameters in parameters_of_head(head).items():
            for parameter in parameters:
                if not parameter.is_embedding:
                    yield head.options.weights, parameter, field, "float32" if layers[name].is_fp32 else dtype


def _require_finite(checkpoint: Checkpoint, name: str, field: str, model_dtype: str, pool: Executor) -> None:
    stored, dtype = checkpoint.dtype(name), _COMPUTED_IN.get(model_dtype, model_dtype)
    largest = largest_bits(checkpoint.bits(name), pool)
    if largest < first_bits_beyond(dtype, stored):
        return
    stored_name, file = checkpoint.location(name)
    if largest >= first_bits_beyond(stored, stored):
        raise ConfigError(
            f"{field}: {file}: tensor {stored_name} holds NaN or infinity, expected finite weights; download the "
            "file again, or name another checkpoint"
        )
    remedy = 'set model.dtype = "bfloat16" or "float32"' if dtype == "float16" else "name another checkpoint"
    raise ConfigError(
        f'model.dtype: found "{model_dtype}", expected one that holds the weights of {field}; {file}: tensor '
        f"{stored_name} has numbers up to {number_of(largest, stored):.4g}, and torch.{dtype} ends at "
        f"{_largest_number(dtype):.4g}; {remedy}"
    )


def largest_bits(bits: NDArray[np.unsignedinteger], pool: Executor) -> int:
    """The largest bits, without the sign, of floating-point numbers `[n]`, as an integer; 0 if there are none."""
    tasks = (bits[begin : begin + _TASK_SIZE] for begin in range(0, len(bits), _TASK_SIZE))
    return max(pool.map(_largest_of, tasks), default=0)


def _largest_of(bits: NDArray[np.unsignedinteger]) -> int:
    """The maximum of positive numbers is that of signed integers; of negative numbers, of unsigned integers."""
    without_sign = int(np.iinfo(bits.dtype).max) // 2
    signed = bits.view(f"i{bits.itemsize}")
    blocks = (slice(begin, begin + _BLOCK_SIZE) for begin in range(0, len(bits), _BLOCK_SIZE))
    return max(max(int(signed[block].max()), int(bits[block].max()) & without_sign) for block in blocks)


@cache
def first_bits_beyond(dtype: str, stored: str) -> int:
    """The smallest bits of a `stored` number that is not finite after conversion to `dtype`, as an integer."""
    infinity = 2 ** sum(_LAYOUTS[stored]) - 2 ** _LAYOUTS[stored][1]
    return bisect_left(range(infinity), True, key=lambda bits: _is_beyond(dtype, number_of(bits, stored)))


def _is_beyond(dtype: str, number: float) -> bool:
    """Whether a number becomes infinite: from half a step above the largest on, which is rounded up."""
    if dtype == "float64":
        return False
    exponent, fraction = _LAYOUTS[dtype]
    # As torch converts: numbers of 16 bits are made of float32.
    with np.errstate(over="ignore"):
        number = float(np.float32(number))
    return number >= (2 - 2.0 ** -(fraction + 1)) * 2.0 ** (2 ** (exponent - 1) - 1)


def _largest_number(dtype: str) -> float:
    return number_of(2 ** sum(_LAYOUTS[dtype]) - 2 ** _LAYOUTS[dtype][1] - 1, dtype)


def number_of(bits: int, dtype: str) -> float:
    """The positive number with these bits."""
    if dtype == "bfloat16":
        bits, dtype = bits << 16, "float32"
    return float(np.array(bits, dtype=f"u{np.dtype(dtype).itemsize}").view(dtype))

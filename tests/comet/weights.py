"""Random weights by name: the same numbers on every machine and with every version of NumPy.

Only the raw bits of PCG64 are taken, which NumPy keeps as they are; its distributions may change.
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

_BITS = 24
_BLOCK_SIZE = 2**22


def random_tensor(
    name: str, shape: tuple[int, ...], *, seed: int, std: float, mean: float = 0.0
) -> NDArray[np.float32]:
    """Uniform float32 values with this mean and standard deviation, from the name of the tensor and the seed."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.PCG64(int.from_bytes(digest[:16], "big"))
    values = np.empty(math.prod(shape), dtype=np.float32)
    for begin in range(0, len(values), _BLOCK_SIZE):
        block = values[begin : begin + _BLOCK_SIZE]
        bits = generator.random_raw(len(block)) >> np.uint64(64 - _BITS)
        block[:] = mean + std * math.sqrt(3) * (bits.astype(np.float64) / 2 ** (_BITS - 1) - 1)
    return values.reshape(shape)

"""Random numbers keyed by (file, row, position), independent of batching and retries.

The mixing function is SplitMix64's finaliser (Steele, Lea and Flood 2014,
https://doi.org/10.1145/2660193.2660195); there is no generator state.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64: a bijection of uint64 with random-looking output."""
    z = values + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def row_hashes(relative_path: str, first_row: int, num_rows: int) -> NDArray[np.uint64]:
    """A hash for each row, of its file's path below the input root and its index in the file."""
    digest = hashlib.blake2b(relative_path.encode(), digest_size=8).digest()
    rows = np.arange(first_row, first_row + num_rows, dtype=np.uint64)
    return splitmix64(splitmix64(rows) ^ np.frombuffer(digest, dtype="<u8")[0])


def random_bits(hashes: NDArray[np.uint64], seed: int, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Random bits for each pair of a row's hash and a token position."""
    seed_hash = splitmix64(np.array([seed], dtype=np.uint64))[0]
    return splitmix64(splitmix64(hashes ^ seed_hash) + positions.astype(np.uint64) * _GOLDEN)


def uniform(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) from random bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

"""Which tiles the attention of packed sequences is computed in on a GPU (see `model.kernels.attention_triton`)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class TileShape:
    """How the kernel runs.

    Attributes:
        num_queries, num_keys: tokens of a tile.
        num_warps: of 32 threads each, for a tile.
        num_stages: loads of keys and values that are under way at a time.
    """

    num_queries: int
    num_keys: int
    num_warps: int
    num_stages: int

    @property
    def is_of_hopper(self) -> bool:
        """Whether Hopper multiplies by its own instructions, which it does with four warps together."""
        return self.num_warps >= 4


# By the longest sequence that a shape is for, as measured on an H100 and an H200 for heads of 80 and of 128.
_LONGEST_OF_SHAPES = (16, 32, 2**31)
_SHAPES = (TileShape(16, 16, 1, 1), TileShape(32, 32, 2, 1), TileShape(64, 32, 2, 2))
_SHAPES_OF_WIDE_HEADS = (*_SHAPES[:2], TileShape(64, 64, 4, 3))
_MIN_WIDE_HEAD_SIZE = 97


@dataclass(frozen=True)
class TileGroup:
    """Tiles of one shape.

    Attributes:
        tiles: int32 `[num_tiles, 3]`: the sequence's first token, its length, the tile's first query in it.
    """

    shape: TileShape
    tiles: Tensor


@lru_cache(maxsize=1)
def tile_groups(
    lengths: tuple[int, ...], head_size: int, device: torch.device, skipped_length: int = 0
) -> tuple[TileGroup, ...]:
    """The tiles of sequences of these lengths; every layer asks for the same.

    Args:
        skipped_length: sequences as long as this have none.
    """
    shapes = _SHAPES if head_size < _MIN_WIDE_HEAD_SIZE else _SHAPES_OF_WIDE_HEADS
    length_of = np.array(lengths, np.int64)
    first_token_of = np.cumsum(length_of) - length_of
    shape_of = np.searchsorted(_LONGEST_OF_SHAPES, length_of)
    tiles = []
    for number, shape in enumerate(shapes):
        chosen = np.flatnonzero((shape_of == number) & (length_of != skipped_length))
        num_tiles = -(-length_of[chosen] // shape.num_queries)
        sequence = np.repeat(chosen, num_tiles)
        tile_in_sequence = np.arange(len(sequence)) - np.repeat(np.cumsum(num_tiles) - num_tiles, num_tiles)
        first_query = tile_in_sequence * shape.num_queries
        tiles.append(np.stack([first_token_of[sequence], length_of[sequence], first_query], axis=1))
    on_host = torch.from_numpy(np.concatenate(tiles).astype(np.int32))
    # Pinned, so that the copy does not wait for kernels that were queued before.
    on_device = on_host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else on_host
    parts = on_device.split([len(part) for part in tiles])
    return tuple(TileGroup(*group) for group in zip(shapes, parts, strict=True) if len(group[1]))

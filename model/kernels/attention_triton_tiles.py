"""Split packed sequences into the tiles of the Triton attention kernel (`model.kernels.attention_triton`)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class TileShape:
    """Launch parameters of the kernel.

    Attributes:
        num_queries, num_keys: tokens per tile.
        num_warps: warps of 32 threads per tile.
        num_stages: depth of the software pipeline that loads keys and values.
    """

    num_queries: int
    num_keys: int
    num_warps: int
    num_stages: int

    @property
    def is_of_hopper(self) -> bool:
        """Whether Hopper uses its warp-group matrix instructions, which need four warps."""
        return self.num_warps >= 4


# The longest sequence that each shape is for, measured on an H100 and an H200 for head sizes 80 and 128.
_LONGEST_OF_SHAPES = (16, 32, 2**31)
_SHAPES = (TileShape(16, 16, 1, 1), TileShape(32, 32, 2, 1), TileShape(64, 32, 2, 2))
_SHAPES_OF_WIDE_HEADS = (*_SHAPES[:2], TileShape(64, 64, 4, 3))
_MIN_WIDE_HEAD_SIZE = 97


@dataclass(frozen=True)
class TileGroup:
    """Tiles of one shape.

    Attributes:
        tiles: int32 `[num_tiles, 3]`: first token and length of the sequence, first query of the tile in it.
    """

    shape: TileShape
    tiles: Tensor


@lru_cache(maxsize=1)
def tile_groups(
    lengths: tuple[int, ...], head_size: int, device: torch.device, skipped_length: int = 0
) -> tuple[TileGroup, ...]:
    """The tiles of sequences of these lengths; cached, since every layer of a batch asks for the same.

    Args:
        skipped_length: sequences of exactly this length get no tiles.
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
    # Pinned, so that the copy does not wait for queued kernels.
    on_device = on_host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else on_host
    parts = on_device.split([len(part) for part in tiles])
    return tuple(TileGroup(*group) for group in zip(shapes, parts, strict=True) if len(group[1]))

"""Features of rows, read layer by layer in blocks of bounded memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RowNumbers = NDArray[np.int64]
Block = NDArray[np.float32]


class Features(Protocol):
    """Pooled features of rows (of words, for tagging), wherever they are kept."""

    @property
    def num_rows(self) -> int:
        """Rows; row numbers are 0 up to this."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are there, ascending: 0 for the embeddings up to the number of layers of the trunk."""

    @property
    def size(self) -> int:
        """Dimensions of a row in one layer."""

    def blocks(self, layer: int, rows: RowNumbers) -> Iterator[Block]:
        """The rows' features of one layer, in the order of `rows`, in blocks `[n, size]` of at most 64 MiB.

        Blocks of different layers have the same numbers of rows.

        Args:
            layer: one of `layers`.
            rows: ascending row numbers, each at most once.
        """


@dataclass(frozen=True)
class FeatureArrays:
    """Features in memory: by layer, an array `[num_rows, size]`."""

    arrays: Mapping[int, NDArray[np.floating]]
    rows_per_block: int = field(default=4096)

    @property
    def num_rows(self) -> int:
        """Rows of each array."""
        return len(next(iter(self.arrays.values())))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers, ascending."""
        return tuple(sorted(self.arrays))

    @property
    def size(self) -> int:
        """Dimensions of each array."""
        return next(iter(self.arrays.values())).shape[1]

    def blocks(self, layer: int, rows: RowNumbers) -> Iterator[Block]:
        """The rows of one layer in blocks."""
        for start in range(0, len(rows), self.rows_per_block):
            yield self.arrays[layer][rows[start : start + self.rows_per_block]].astype(np.float32, copy=False)

"""Features in the parts of an annotated folder, read in blocks of bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.fit.feature_blocks import Block, RowNumbers
from jobs.fit.features.annotated_parts import AnnotatedParts, read_field

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class LayerColumn:
    """Where a layer is: a column or nested field, and what its dimensions were divided by, float32 `[size]`."""

    path: tuple[str, ...]
    scale: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class FeatureParts:
    """The vectors of texts, or of words, in the parts of an output (`Features` of `jobs.fit.feature_blocks`).

    Attributes:
        columns: of each layer.
        counts: vectors of each part: its rows, or the words of its rows.
        offsets: of words, by part: where the words of each row begin, int64 `[rows + 1]`; None for texts.
    """

    parts: AnnotatedParts
    columns: Mapping[int, LayerColumn]
    counts: tuple[int, ...]
    offsets: tuple[NDArray[np.int64], ...] | None = None

    @classmethod
    def of_texts(cls, parts: AnnotatedParts, columns: Mapping[int, LayerColumn]) -> "FeatureParts":
        """One vector for each row."""
        return cls(parts, columns, parts.counts)

    @classmethod
    def of_words(cls, parts: AnnotatedParts, columns: Mapping[int, LayerColumn], words: str) -> "FeatureParts":
        """One vector for each word of the list column `words`."""
        offsets = tuple(_word_offsets(lists) for lists in parts.pieces([words]))
        return cls(parts, columns, tuple(int(part[-1]) for part in offsets), offsets)

    @property
    def num_rows(self) -> int:
        """Vectors of all parts."""
        return sum(self.counts)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are there, ascending."""
        return tuple(sorted(self.columns))

    @property
    def size(self) -> int:
        """Dimensions of a vector."""
        return int(self._vector_type.list_size)

    def blocks(self, layer: int, rows: RowNumbers) -> Iterator[Block]:
        """The vectors of `rows`, ascending, in blocks of at most 64 MiB; all of them must be there."""
        ends = np.cumsum(self.counts)
        most = max(1, _BLOCK_BYTES // (4 * self.size))
        cuts = np.searchsorted(rows, ends)
        for number, wanted in enumerate(np.split(rows, cuts[:-1])):
            if not len(wanted):
                continue
            vectors = self._vectors(number, layer)
            local = wanted - (ends[number] - self.counts[number])
            for start in range(0, len(local), most):
                yield self._floats(vectors.take(pa.array(local[start : start + most])), layer)

    def only(self, layers: Sequence[int]) -> "FeatureParts":
        """The same of some layers."""
        return replace(self, columns={layer: self.columns[layer] for layer in layers})

    def is_there(self) -> NDArray[np.bool_]:
        """Which rows, or words, have a vector: `[num_rows]`."""
        layer = self.layers[0]
        found = [self._vectors(number, layer).is_valid().to_numpy(zero_copy_only=False)
                 for number in range(len(self.counts))]  # fmt: skip
        return np.concatenate(found)

    @property
    def _vector_type(self) -> pa.FixedSizeListType:
        path = self.columns[self.layers[0]].path
        type_ = self.parts.schema.field(path[0]).type
        for name in path[1:]:
            type_ = type_.field(name).type
        return type_ if self.offsets is None else type_.value_type

    def _vectors(self, number: int, layer: int) -> pa.FixedSizeListArray:
        """The vectors of a part, in order; null where a row or word has none."""
        column = read_field(self.parts.paths[number], self.columns[layer].path)
        return column if self.offsets is None else _of_words(column, self.offsets[number])

    def _floats(self, vectors: pa.FixedSizeListArray, layer: int) -> Block:
        assert vectors.null_count == 0, "only rows with a vector are read"
        values = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(vectors), -1)
        scale = self.columns[layer].scale
        return values if scale is None else values * scale


def scales_of(features: FeatureParts, layer: int, rows: RowNumbers) -> NDArray[np.float32]:
    """For each dimension a power of two, `[size]`, by which the largest number of the rows becomes about 256.

    So float16, which ends at 65504, has room for numbers 256 times as large. Powers of two cost no precision.
    """
    largest = np.zeros(features.size, dtype=np.float32)
    for block in features.blocks(layer, rows):
        np.maximum(largest, np.abs(block).max(axis=0, initial=0), out=largest)
    exponent = np.where(largest > 0, np.frexp(largest)[1] - 8, 0)
    return np.ldexp(np.float32(1), exponent).astype(np.float32)


def _word_offsets(lists: pa.ListArray) -> NDArray[np.int64]:
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths.astype(np.int64))])


def _of_words(column: pa.ListArray, offsets: NDArray[np.int64]) -> pa.FixedSizeListArray:
    """The vectors of all words; null for those of a row without a list."""
    has_list = column.is_valid().to_numpy(zero_copy_only=False)
    found = np.repeat(has_list, np.diff(offsets))
    index = np.cumsum(found) - 1
    vectors = column.flatten()
    assert len(vectors) == int(found.sum()), "a word has a vector, or null"
    return vectors.take(pa.array(index, mask=~found))

"""Vectors as columns: cut, normalized and quantized; for each row, token or word."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.arrays.ragged import list_column, offsets_of
from pipeline.row_errors import NOT_FINITE
from pipeline.tasks.contract import OrderedHeadOutput, place_rows

VectorDtype = Literal["float32", "float16", "int8", "ubinary"]
Vectors = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int8] | NDArray[np.uint8]

INT8_SCALE = 127
BITS_PER_BYTE = 8
NOT_FINITE_IN_FLOAT16 = (
    f"the vector {NOT_FINITE} in float16, whose numbers end at 65504; set dtype = "
    '"float32" or normalize = true for this head'
)
# Numbers from here on round to infinity in float16.
_FLOAT16_END = 65520.0
_ITEM_TYPES = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "ubinary": pa.uint8()}


def vector_type(dtype: VectorDtype, num_dimensions: int) -> pa.DataType:
    """The type of one vector."""
    size = num_dimensions // BITS_PER_BYTE if dtype == "ubinary" else num_dimensions
    return pa.list_(_ITEM_TYPES[dtype], size)


def exceed_float16(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the vectors `[n, d]` hold a number that float16 does not, or that is not finite."""
    return ~(np.abs(vectors).max(axis=1, initial=0) < _FLOAT16_END)


def word_vectors_column(
    output: OrderedHeadOutput, finish: Callable[[NDArray[np.float32]], Vectors]
) -> pa.ListArray:
    """The vector of the first token of each word of a row; null for a word without tokens."""
    word_offsets = offsets_of(output.context.fill_null(0).to_numpy().astype(np.int64))
    word = word_offsets[output.row] + output.windows.begins.values[output.flat_token]
    words, first = np.unique(word, return_index=True)
    vectors = vectors_column(finish(output.floats[first]))
    return list_column(place_rows(vectors, words, int(word_offsets[-1])), word_offsets)


def dtype_problems(dtype: VectorDtype, *, normalize: bool, dimensions: int | None) -> list[str]:
    """What is wrong with a dtype and these options beside it."""
    problems = []
    if dtype == "int8" and not normalize:
        problems.append(
            'dtype: found "int8" and normalize = false, expected vectors of length 1, whose numbers lie '
            'between -1 and 1; write normalize = true, or dtype = "float16"'
        )
    if dtype == "ubinary" and (dimensions or 8) % 8:
        problems.append(
            f"dimensions: found {dimensions}, expected a multiple of 8 where dtype is ubinary, which "
            "packs 8 dimensions in a byte; write for example dimensions = 256"
        )
    return problems


def finish_vectors(
    values: NDArray[np.float32], *, dimensions: int, normalize: bool, dtype: VectorDtype
) -> Vectors:
    """Truncate, normalize and quantize vectors. Vectors of zeros stay zeros.

    Args:
        values: float32 `[n, hidden_size]`, finite; without `normalize`, also finite in float16 if that is `dtype`.
        dtype: "float32" or "float16";
            "int8": round(127 x), halves to even, of vectors of length 1, so that the dot product of two is
                127^2 times their cosine, up to rounding;
            "ubinary": one bit a dimension, 1 where x > 0, the first dimension in the highest bit of the first
                byte (as numpy.packbits and sentence-transformers); compared by Hamming distance.

    Returns:
        `[n, dimensions]`, or uint8 `[n, dimensions / 8]` for "ubinary".
    """
    vectors = values[:, :dimensions]
    if normalize and dtype != "ubinary":  # the signs are enough, and underflow could change them
        vectors = normalized(vectors)
    match dtype:
        case "float32":
            return vectors
        case "float16":
            return vectors.astype(np.float16)
        case "int8":
            return np.rint(vectors * np.float32(INT8_SCALE)).astype(np.int8)
        case "ubinary":
            return np.packbits(vectors > 0, axis=1)


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors `[n, d]` scaled to length 1, with norms in float64; zeros stay zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1
    return np.divide(vectors, lengths[:, None], out=np.empty_like(vectors), casting="same_kind")


def vectors_column(vectors: Vectors) -> pa.FixedSizeListArray:
    """Vectors `[n, width]` as a column of fixed-size lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).ravel()), vectors.shape[1])


def token_vectors_column(vectors: Vectors, row_offsets: NDArray[np.int64]) -> pa.ListArray:
    """The vectors `[tokens, width]` of each row's tokens, as `list<fixed_size_list>`."""
    return list_column(vectors_column(vectors), row_offsets)

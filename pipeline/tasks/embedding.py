"""Embeddings as an index takes them: fewer dimensions, smaller numbers, columns that are vectors."""

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.segments import list_column

VectorDtype = Literal["float32", "float16", "int8", "ubinary"]
Vectors = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int8] | NDArray[np.uint8]

INT8_SCALE = 127
BITS_PER_BYTE = 8

_ARROW_TYPES: dict[VectorDtype, pa.DataType] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    "ubinary": pa.uint8(),
}


def check_vectors(*, dimensions: int, hidden_size: int, normalize: bool, dtype: VectorDtype) -> None:
    """Raises ConfigError for options that do not go together, naming the option."""
    if not 1 <= dimensions <= hidden_size:
        raise ConfigError(
            f"dimensions: found {dimensions}, expected 1 to {hidden_size}, the width of the model; "
            "write fewer, or leave the key out"
        )
    if dtype == "int8" and not normalize:
        raise ConfigError(
            'dtype: found "int8" with normalize = false, expected vectors of length 1, whose numbers lie '
            'between -1 and 1; write normalize = true, or dtype = "float16"'
        )
    if dtype == "ubinary" and dimensions % BITS_PER_BYTE:
        raise ConfigError(
            f'dimensions: found {dimensions} with dtype = "ubinary", expected a multiple of 8: it packs 8 '
            f"dimensions into a byte; write for example dimensions = {max(8, dimensions // 8 * 8)}"
        )


def vector_type(dimensions: int, dtype: VectorDtype) -> pa.DataType:
    """`fixed_size_list`: float, halffloat or int8 `[dimensions]`, or uint8 `[dimensions / 8]`."""
    width = dimensions // BITS_PER_BYTE if dtype == "ubinary" else dimensions
    return pa.list_(_ARROW_TYPES[dtype], width)


def finish_vectors(
    values: NDArray[np.float32], *, dimensions: int, normalize: bool, dtype: VectorDtype
) -> Vectors:
    """The first `dimensions` of each vector, brought to length 1 if `normalize`, as `dtype`.

    Args:
        values: float32 `[n, hidden_size]`, finite, and in float16 too where that is wanted without `normalize`.
        dtype: "float32";
            "float16": the nearest;
            "int8": round(127 x), halves to even, of vectors of length 1: x is q / 127, and a dot
                product of two is 127^2 times the cosine, up to rounding;
            "ubinary": one bit a dimension, 1 where x > 0, the first dimension in the highest bit of
                the first byte (as numpy.packbits, and "ubinary" of sentence-transformers); compared
                by Hamming distance.

    Returns:
        `[n, dimensions]`, or uint8 `[n, dimensions / 8]` for "ubinary". A vector of zeros stays one.
    """
    vectors = values[:, :dimensions]
    if normalize and dtype != "ubinary":  # signs need no length, and a tiny number would lose its own by it
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
    """Vectors `[n, d]` of length 1; lengths are taken in float64, zeros stay zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1
    return np.divide(vectors, lengths[:, None], out=np.empty_like(vectors), casting="same_kind")


def vectors_column(vectors: Vectors) -> pa.FixedSizeListArray:
    """One `fixed_size_list` a vector, of `[n, width]`."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).ravel()), vectors.shape[1])


def token_vectors_column(vectors: Vectors, row_offsets: NDArray[np.int64]) -> pa.ListArray:
    """`list<fixed_size_list>`: the vectors of each row's tokens, in order.

    Args:
        vectors: `[tokens, width]`.
        row_offsets: int64 `[rows + 1]`; a row without tokens is an empty list.
    """
    return list_column(vectors_column(vectors), row_offsets)

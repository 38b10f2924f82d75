from pathlib import Path
from typing import Any, get_args

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model import XLMRobertaXLConfig
from pipeline.tasks.embedding import TASK, EmbeddingHead
from pipeline.tasks.vector_columns import VectorDtype, finish_vectors, token_vectors_column, vectors_column

DTYPES: tuple[VectorDtype, ...] = get_args(VectorDtype)
VECTORS = hnp.arrays(np.float32, (4, 24), elements=st.floats(-1e6, 1e6, width=32))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 24)).astype(np.float32)


@given(VECTORS, st.integers(1, 24))
def test_vectors_are_cut_and_then_brought_to_length_one(vectors: np.ndarray, dimensions: int) -> None:
    found = finish_vectors(vectors, dimensions=dimensions, normalize=True, dtype="float32")
    cut = vectors[:, :dimensions].astype(np.float64)
    lengths = np.sqrt((cut**2).sum(axis=1, keepdims=True))
    assert found == pytest.approx(np.divide(cut, lengths, out=np.zeros_like(cut), where=lengths > 0), abs=1e-7)
    assert found.dtype == np.float32
    bare = finish_vectors(vectors, dimensions=dimensions, normalize=False, dtype="float32")
    assert bare.tobytes() == vectors[:, :dimensions].tobytes()


@given(hnp.arrays(np.float32, (3, 8), elements=st.floats(-65519, 65519, width=32)))
def test_float16_is_the_nearest(vectors: np.ndarray) -> None:
    found = finish_vectors(vectors, dimensions=8, normalize=False, dtype="float16")
    assert found.dtype == np.float16
    assert np.isfinite(found).all()
    assert found.ravel().tolist() == [float(np.float16(x)) for x in vectors.ravel().tolist()]


@given(VECTORS)
def test_int8_is_127_times_the_vector_of_length_one(vectors: np.ndarray) -> None:
    found = finish_vectors(vectors, dimensions=16, normalize=True, dtype="int8")
    assert found.dtype == np.int8
    unit = finish_vectors(vectors, dimensions=16, normalize=True, dtype="float32")
    assert (np.abs(found / 127 - unit) <= 0.5001 / 127).all()
    assert np.abs(found.astype(int)).max() <= 127


def test_int8_keeps_the_cosine(values: np.ndarray) -> None:
    unit = finish_vectors(values, dimensions=24, normalize=True, dtype="float32")
    whole = finish_vectors(values, dimensions=24, normalize=True, dtype="int8").astype(np.int64)
    assert whole @ whole.T / 127**2 == pytest.approx(unit @ unit.T, abs=0.02)


@pytest.mark.parametrize("normalize", [False, True])
@given(VECTORS)
def test_ubinary_packs_the_signs(normalize: bool, vectors: np.ndarray) -> None:
    found = finish_vectors(vectors, dimensions=16, normalize=normalize, dtype="ubinary")
    assert found.dtype == np.uint8
    assert found.shape == (4, 2)
    bits = ["".join("1" if x > 0 else "0" for x in row[:16]) for row in vectors.tolist()]
    assert ["".join(f"{byte:08b}" for byte in row) for row in found.tolist()] == bits


def vector_type(dimensions: int, dtype: VectorDtype) -> pa.DataType:
    options = EmbeddingHead(task="embedding", dimensions=dimensions, dtype=dtype)
    return TASK.output_type(options, XLMRobertaXLConfig(hidden_size=32, num_attention_heads=4))


def column_of(values: np.ndarray, dtype: VectorDtype) -> pa.Array:
    column = vectors_column(finish_vectors(values, dimensions=16, normalize=True, dtype=dtype))
    column.validate(full=True)
    assert column.type == vector_type(16, dtype)
    return column


def test_columns_are_fixed_size_lists(values: np.ndarray) -> None:
    types = [vector_type(16, dtype) for dtype in DTYPES]
    assert types == [
        pa.list_(pa.float32(), 16),
        pa.list_(pa.float16(), 16),
        pa.list_(pa.int8(), 16),
        pa.list_(pa.uint8(), 2),
    ]
    for dtype in DTYPES:
        found = finish_vectors(values, dimensions=16, normalize=True, dtype=dtype)
        assert column_of(values, dtype).to_pylist() == found.tolist()


def test_token_vectors_are_lists_of_vectors(values: np.ndarray) -> None:
    for dtype in DTYPES:
        vectors = finish_vectors(values, dimensions=16, normalize=True, dtype=dtype)
        column = token_vectors_column(vectors, np.array([0, 2, 2, 6]))
        column.validate(full=True)
        assert column.type == pa.list_(vector_type(16, dtype))
        assert column.to_pylist() == [vectors[:2].tolist(), [], vectors[2:].tolist()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ()),
        ({"layer": 4}, ()),
        ({"layer": -1}, ()),
        ({"layer": -5}, (0,)),
        ({"layer": 2}, (2,)),
        ({"layers": [-1, 0, 2]}, (0, 2, 4)),
        ({"layers": [4]}, (4,)),
        ({"layers": "all"}, (0, 1, 2, 3, 4)),
    ],
)
def test_layers_that_are_read(options: dict[str, Any], expected: tuple[int, ...]) -> None:
    """None for the last hidden states, which are there anyway."""
    head = EmbeddingHead.model_validate({"task": "embedding", **options})
    assert head.layers_of(4) == expected
    config = XLMRobertaXLConfig(hidden_size=32, num_attention_heads=4, num_hidden_layers=4)
    reads = TASK.reads(head, config)
    assert {name: (read.layers, read.pooling) for name, read in reads.items()} == {
        f"layer_{layer}": ((layer,), "mean") for layer in expected
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 1, "layers": [2]}, "layer: found 1, expected none beside layers"),
        (
            {"layer": 1, "pooling": "pooler"},
            'pooling: found "pooler", expected "mean", "cls" or "max" where layer',
        ),
        ({"layers": "all", "pooling": "pooler"}, 'pooling: found "pooler", expected "mean", "cls" or "max"'),
    ],
)
def test_options_of_layers_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmbeddingHead.model_validate({"task": "embedding", **options})


@pytest.fixture(scope="module")
def part(values: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file with a vector column of each dtype, named like it; row 2 failed and is null."""
    rows = pa.array([0, 1, None, 3, 4, 5])
    file = tmp_path_factory.mktemp("part") / "part.parquet"
    pq.write_table(pa.table({dtype: column_of(values, dtype).take(rows) for dtype in DTYPES}), file)
    return file


def test_polars_reads_columns_of_vectors(part: Path, values: np.ndarray) -> None:
    expected = {
        "float32": pl.Array(pl.Float32, 16),
        "float16": pl.Array(pl.Float16, 16),
        "int8": pl.Array(pl.Int8, 16),
        "ubinary": pl.Array(pl.UInt8, 2),
    }
    frame = pl.read_parquet(part)
    assert dict(frame.schema) == expected
    assert dict(pl.scan_parquet(part).collect_schema()) == expected
    for dtype in DTYPES:
        found = finish_vectors(values, dimensions=16, normalize=True, dtype=dtype)
        assert frame[dtype].is_null().to_list() == [False, False, True, False, False, False]
        assert frame[dtype].drop_nulls().to_numpy().tolist() == np.delete(found, 2, axis=0).tolist()


def test_duckdb_reads_vectors_from_parquet(part: Path, values: np.ndarray) -> None:
    con = duckdb.connect()
    for dtype, type_ in zip(DTYPES, ("FLOAT[]", "FLOAT[]", "TINYINT[]", "UTINYINT[]"), strict=True):
        rows = con.execute(f"SELECT {dtype}, typeof({dtype}) FROM '{part}'").fetchall()
        found = finish_vectors(values, dimensions=16, normalize=True, dtype=dtype).tolist()
        found[2] = None
        assert rows == [(vector, type_) for vector in found]


def test_duckdb_searches_vectors_of_a_parquet_file(values: np.ndarray, tmp_path: Path) -> None:
    """Where no row failed as the column is; a null needs the type that Parquet does not have."""
    con = duckdb.connect()
    cosine = finish_vectors(values, dimensions=16, normalize=True, dtype="float32")
    cosine = cosine @ cosine[0]
    for dtype in ("float32", "float16", "int8"):
        file = tmp_path / f"{dtype}.parquet"
        column = column_of(values, dtype)
        pq.write_table(pa.table({"vector": column}), file)
        query = f"FROM '{file}', (SELECT vector AS wanted FROM '{file}' LIMIT 1)"
        found = con.execute(f"SELECT list_cosine_similarity(vector, wanted) {query}").fetchall()
        assert [value for (value,) in found] == pytest.approx(cosine.tolist(), abs=0.02)

        pq.write_table(pa.table({"vector": column.take(pa.array([0, None, 5]))}), file)
        as_arrays = "array_cosine_similarity(vector::FLOAT[16], wanted::FLOAT[16])"
        found = con.execute(f"SELECT {as_arrays} {query}").fetchall()
        assert [value for (value,) in found] == [
            pytest.approx(1, abs=1e-3),
            None,
            pytest.approx(float(cosine[5]), abs=0.02),
        ]


def test_layers_in_parquet(values: np.ndarray, tmp_path: Path) -> None:
    """A struct of vectors, and of lists of vectors, of which a row failed."""
    vectors = column_of(values, "float32")
    tokens = token_vectors_column(
        finish_vectors(values, dimensions=16, normalize=True, dtype="float16"), np.arange(7)
    )
    rows = pa.array([0, None, 5])
    columns = [
        pa.StructArray.from_arrays(
            [column, column.take(pa.array([5, 4, 3, 2, 1, 0]))], names=["layer_0", "layer_24"]
        )
        for column in (vectors, tokens)
    ]
    table = pa.table({name: column.take(rows) for name, column in zip(("text", "token"), columns, strict=True)})
    file = tmp_path / "layers.parquet"
    pq.write_table(table, file)
    assert pq.read_table(file).equals(table)
    frame = pl.read_parquet(file)
    assert frame["text"].is_null().to_list() == [False, True, False]
    found = frame["text"].struct.field("layer_24").drop_nulls().to_list()
    assert found == vectors.take(pa.array([5, 0])).to_pylist()
    query = f"SELECT text.layer_24, len(token.layer_0) FROM '{file}' WHERE text IS NOT NULL"
    assert duckdb.connect().execute(query).fetchall() == [(vector, 1) for vector in found]


def test_duckdb_reads_arrays_from_arrow(values: np.ndarray) -> None:
    table = pa.table({"vector": column_of(values, "float32").take(pa.array([0, None, 5]))})
    con = duckdb.connect()
    con.register("part", table)
    query = "SELECT typeof(vector), array_cosine_similarity(vector, vector) FROM part"
    assert con.execute(query).fetchall() == [
        ("FLOAT[16]", pytest.approx(1)),
        ("FLOAT[16]", None),
        ("FLOAT[16]", pytest.approx(1)),
    ]

"""Features in the parts of an output: blocks, layers, scales and words."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.fit.features import feature_parts
from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_parts import FeatureParts, LayerColumn, scales_of
from pipeline.errors import InputError

SIZE = 6
NAMES = (
    "a.0a1b2c3d.00000-of-00002.parquet",
    "a.0a1b2c3d.00001-of-00002.parquet",
    "b.0a1b2c3d.00000-of-00001.parquet",
)
VECTOR = pa.list_(pa.float32(), SIZE)
COLUMNS = {layer: LayerColumn(("v", f"layer_{layer}")) for layer in (0, 2)}


def write(folder: Path, tables: list[pa.Table]) -> AnnotatedParts:
    for name, table in zip(NAMES, tables, strict=False):
        pq.write_table(table, folder / name)
    (folder / "_SUCCESS").write_text("{}")
    return AnnotatedParts.open(folder, "input.features")


def vectors(values: np.ndarray) -> list[list[float] | None]:
    return [None if np.isnan(row).any() else row.tolist() for row in values]


@pytest.fixture
def states() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {layer: rng.normal(size=(9, SIZE)).astype(np.float32) for layer in COLUMNS}
    for values in found.values():
        values[4] = np.nan
    return found


@pytest.fixture
def of_texts(tmp_path: Path, states: dict[int, np.ndarray]) -> FeatureParts:
    tables = []
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9)):
        structs = pa.StructArray.from_arrays(
            [pa.array(vectors(states[layer][rows]), VECTOR) for layer in COLUMNS],
            names=[f"layer_{layer}" for layer in COLUMNS],
        )
        tables.append(pa.table({"v": structs}))
    return FeatureParts.of_texts(write(tmp_path, tables), COLUMNS)


def test_blocks_hold_the_rows_in_order(of_texts: FeatureParts, states: dict[int, np.ndarray]) -> None:
    assert (of_texts.num_rows, of_texts.size, of_texts.layers) == (9, SIZE, (0, 2))
    assert of_texts.is_there().tolist() == [True] * 4 + [False] + [True] * 4
    for layer, expected in states.items():
        for rows in ([0, 1, 2, 3, 5, 6, 7, 8], [3, 5], [8], [2, 7]):
            blocks = list(of_texts.blocks(layer, np.array(rows)))
            assert np.array_equal(np.concatenate(blocks), expected[rows])
            assert all(block.dtype == np.float32 for block in blocks)
    assert list(of_texts.blocks(0, np.array([], dtype=np.int64))) == []
    assert of_texts.only([2]).layers == (2,)


def test_blocks_are_bounded(
    of_texts: FeatureParts, states: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_parts, "_BLOCK_BYTES", 4 * SIZE * 3)
    blocks = list(of_texts.blocks(2, np.array([0, 1, 2, 3, 5, 6, 7, 8])))
    assert [len(block) for block in blocks] == [3, 1, 3, 1]


def test_words_have_a_vector_each(tmp_path: Path) -> None:
    values = np.arange(5 * SIZE, dtype=np.float32).reshape(5, SIZE)
    words = [["a", "b", "c"], None, ["d", "e"], ["f"]]
    lists = [[values[0].tolist(), None, values[1].tolist()], None, None, [values[2].tolist()]]
    first = pa.table({"words": pa.array(words), "v": pa.array(lists, pa.list_(VECTOR))})
    second = pa.table({"words": pa.array([["g", "h"]]), "v": pa.array([vectors(values[3:])], pa.list_(VECTOR))})
    parts = write(tmp_path, [first, second])
    found = FeatureParts.of_words(parts, {1: LayerColumn(("v",))}, "words")
    assert found.num_rows == 8
    # The second word has no token, the sentence of two has an error.
    assert found.is_there().tolist() == [True, False, True, False, False, True, True, True]
    blocks = np.concatenate(list(found.blocks(1, np.array([0, 2, 5, 6, 7]))))
    assert np.array_equal(blocks, values)
    assert found.size == SIZE


def test_scales_are_powers_of_two_that_leave_room(tmp_path: Path) -> None:
    values = np.array([[1e6, 3.0, 0.0, -700.0, 1e-6, 1.0], [2.0, -5.0, 0.0, 1.0, 1e-7, 255.0]], dtype=np.float32)
    parts = write(tmp_path, [pa.table({"v": pa.array(vectors(values), VECTOR)})])
    features = FeatureParts.of_texts(parts, {0: LayerColumn(("v",))})
    scale = scales_of(features, 0, np.array([0, 1]))
    assert scale.tolist() == [4096.0, 2.0**-5, 1.0, 4.0, scale[4], 1.0]
    largest = np.abs(values / scale).max(axis=0)
    assert (largest <= 256).all()
    assert (largest[[0, 1, 3, 4, 5]] >= 127).all()


def test_what_was_scaled_is_scaled_back(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(4, SIZE)).astype(np.float32) * np.float32(1e6)
    scale = np.ldexp(np.float32(1), np.arange(10, 10 + SIZE)).astype(np.float32)
    stored = (values / scale).astype(np.float16)
    column = pa.array([row.tolist() for row in stored], pa.list_(pa.float16(), SIZE))
    parts = write(tmp_path, [pa.table({"v": column})])
    features = FeatureParts.of_texts(parts, {0: LayerColumn(("v",), scale)})
    [block] = features.blocks(0, np.arange(4))
    np.testing.assert_allclose(block, values, rtol=2**-11)


def test_an_output_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^input\.features: found no output in"):
        AnnotatedParts.open(tmp_path, "input.features")
    pq.write_table(pa.table({"a": [1]}), tmp_path / NAMES[0])
    with pytest.raises(InputError, match="found an output that is not finished"):
        AnnotatedParts.open(tmp_path, "input.features")

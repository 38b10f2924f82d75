"""Vectors of an earlier job as features, and those that no head can read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.fit.features.existing_vectors import existing_features
from jobs.fit.features.feature_source import FeatureSource
from jobs.fit.settings import FitSettings
from model import XLMRobertaXLConfig
from pipeline.driver.identity import weights_digest
from pipeline.errors import InputError
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

NAME = "a.0a1b2c3d.00000-of-00001.parquet"
VECTOR = pa.list_(pa.float32(), 32)
VALUES = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
PLAIN: dict[str, Any] = {
    "task": "embedding",
    "pooling": "cls",
    "normalize": False,
    "level": "sentence",
    "dimensions": None,
    "dtype": "float32",
    "text": "body",
}


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("trunk"), heads=frozenset())


def write_output(folder: Path, trunk: Path, column: pa.Array, **changes: Any) -> None:
    (folder / "_manifest").mkdir()
    options = {**PLAIN, **changes}
    identity = {f"heads.vector.{key}": json.dumps(value) for key, value in options.items()}
    identity |= {
        "heads": '["vector"]',
        "heads.vector.trunk": weights_digest(str(trunk)),
        "heads.vector.weights": weights_digest(str(trunk)),
    }
    (folder / "_manifest/run.json").write_text(json.dumps({"format": 2, "identity": identity}))
    (folder / "_SUCCESS").write_text("{}")
    pq.write_table(pa.table({"vector": column}), folder / NAME)


def found_in(folder: Path, trunk: Path, column: str = "vector") -> Any:
    settings = FitSettings.model_validate(
        {
            "model": {"path": str(trunk)},
            "input": {"features": str(folder), "column": column},
            "output": {"path": "out"},
            "heads": {"x": {"label": "y"}},
        }
    )
    return existing_features(settings, XLMRobertaXLConfig.from_pretrained(trunk))


@pytest.mark.parametrize(("layer", "expected"), [(None, 2), (-2, 1), (0, 0)])
def test_one_layer(layer: int | None, expected: int, trunk: Path, tmp_path: Path) -> None:
    changes = {} if layer is None else {"layer": layer}
    write_output(tmp_path, trunk, pa.array(VALUES.tolist(), VECTOR), **changes)
    parts, features, source = found_in(tmp_path, trunk)
    assert parts.num_rows == 3
    assert source == FeatureSource("cls", "body")
    assert features.layers == (expected,)
    assert np.array_equal(np.concatenate(list(features.blocks(expected, np.arange(3)))), VALUES)


def test_several_layers(trunk: Path, tmp_path: Path) -> None:
    vectors = pa.array(VALUES.tolist(), VECTOR)
    column = pa.StructArray.from_arrays([vectors, vectors], names=["layer_0", "layer_2"])
    write_output(tmp_path, trunk, column, layers=[0, 2], pooling="mean")
    _, features, source = found_in(tmp_path, trunk)
    assert features.layers == (0, 2)
    assert source.pooling == "mean"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalize": True}, "were made with normalize = true, expected vectors as the model gives them"),
        ({"dimensions": 16}, "dimensions = 16, expected all dimensions"),
        ({"dtype": "int8"}, 'dtype = "int8", expected floating-point numbers'),
        ({"pooling": "pooler"}, 'pooling = "pooler", expected the states of a layer'),
        ({"scale": [2.0] * 32}, "expected vectors as the model gives them"),
        ({"joined": "translation"}, "expected pairs joined as a classifier reads them"),
        ({"task": "masked-lm-loss"}, "found no embedding head 'vector'"),
    ],
)
def test_vectors_that_no_head_reads_are_refused(
    changes: dict[str, Any], message: str, trunk: Path, tmp_path: Path
) -> None:
    write_output(tmp_path, trunk, pa.array(VALUES.tolist(), VECTOR), **changes)
    with pytest.raises(InputError) as caught:
        found_in(tmp_path, trunk)
    assert str(caught.value).startswith("input.column: ")
    assert message in str(caught.value)


def test_vectors_of_another_model_or_name_are_refused(trunk: Path, tmp_path: Path) -> None:
    other = tiny_checkpoint(tmp_path / "other", heads=frozenset(), seed=3)
    output = tmp_path / "output"
    output.mkdir()
    write_output(output, trunk, pa.array(VALUES.tolist(), VECTOR))
    with pytest.raises(InputError, match=r"are of another model than model\.path"):
        found_in(output, other)
    with pytest.raises(InputError, match=r"found no embedding head 'vectors' in .*; its heads are 'vector'"):
        found_in(output, trunk, "vectors")

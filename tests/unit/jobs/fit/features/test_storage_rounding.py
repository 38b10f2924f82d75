"""The largest change of a logit by rounding features to float16, against the same in plain NumPy."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_parts import FeatureParts, LayerColumn
from jobs.fit.features.storage_rounding import largest_change
from jobs.fit.fitted_head import FittedHead

SIZE, NUM_ROWS = 8, 50


def test_the_largest_change_is_that_of_the_rounded_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = {layer: (rng.normal(size=(NUM_ROWS, SIZE)) * 1e5).astype(np.float32) for layer in (1, 2)}
    type_ = pa.list_(pa.float32(), SIZE)
    table = pa.table({f"l{layer}": pa.array(values.tolist(), type_) for layer, values in layers.items()})
    pq.write_table(table, tmp_path / "a.0a1b2c3d.00000-of-00001.parquet")
    (tmp_path / "_SUCCESS").write_text("{}")
    parts = AnnotatedParts.open(tmp_path, "output.path")
    features = FeatureParts.of_texts(parts, {layer: LayerColumn((f"l{layer}",)) for layer in layers})
    dense = ((rng.normal(size=(3, SIZE)), rng.normal(size=3)),)
    head = FittedHead((1, 2), "mean", np.array([0.3, -2.0]), dense, None, "single", temperature=2.0)
    scale = np.full(SIZE, 1024, dtype=np.float32)
    rounded = [(layers[layer] / scale).astype(np.float16).astype(np.float32) * scale for layer in (1, 2)]
    exact = head.logits([layers[1], layers[2]])
    expected = np.abs(head.logits(rounded) - exact).max() / 2
    assert expected > 0
    assert largest_change(head, features, {1: scale, 2: scale}) == pytest.approx(expected)
    assert largest_change(head, features, {1: None, 2: None}) == 0

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks.multiple_choice import choices_column

TYPE = pa.struct(
    [
        pa.field("choice", pa.int32()),
        pa.field("scores", pa.list_(pa.float32())),
        pa.field("logits", pa.list_(pa.float32())),
    ]
)


def column_of(rows: list[list[float]]) -> pa.StructArray:
    logits = np.array([logit for row in rows for logit in row], dtype=np.float32)
    column = choices_column(logits, np.cumsum([0, *map(len, rows)], dtype=np.int64))
    column.validate(full=True)
    assert column.type == TYPE
    assert len(column) == len(rows)
    return column


@given(st.lists(st.lists(st.floats(-40, 40, width=32), max_size=5), max_size=6))
def test_each_row_is_the_softmax_over_its_own_choices(rows: list[list[float]]) -> None:
    for row, value in zip(rows, column_of(rows).to_pylist(), strict=True):
        if not row:
            assert value is None
            continue
        assert value["choice"] == row.index(max(row))
        assert value["scores"] == pytest.approx(torch.tensor(row).double().softmax(0).tolist(), rel=1e-6)
        assert value["logits"] == row


def test_of_equally_good_choices_it_is_the_first() -> None:
    assert [value["choice"] for value in column_of([[0, 3, 3], [2], [1, 1]]).to_pylist()] == [1, 0, 0]

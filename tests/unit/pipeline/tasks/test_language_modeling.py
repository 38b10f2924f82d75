import numpy as np

from pipeline.tasks.language_modeling import loss_column


def test_losses_are_of_the_rows_that_have_tokens() -> None:
    column, rows = loss_column(np.array([1, 2, 4], dtype=np.float32), np.array([1, 1, 3]))
    assert rows.tolist() == [1, 3]
    assert column.to_pylist() == [
        {"loss": 1.5, "nll": 3.0, "num_tokens": 2},
        {"loss": 4.0, "nll": 4.0, "num_tokens": 1},
    ]

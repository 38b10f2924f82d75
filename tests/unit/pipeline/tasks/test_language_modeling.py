import numpy as np

from pipeline.tasks.language_modeling import loss_column


def test_losses_are_of_the_rows_that_have_tokens() -> None:
    column, rows = loss_column(np.array([1, 2, 4], dtype=np.float32), np.array([1, 1, 3]))
    assert rows.tolist() == [1, 3]
    assert column.to_pylist() == [
        {"loss": 1.5, "nll": 3.0, "num_tokens": 2},
        {"loss": 4.0, "nll": 4.0, "num_tokens": 1},
    ]


def test_perplexity_is_the_exponential_of_the_loss() -> None:
    nll, row = np.array([1, 2, 4, 800], dtype=np.float32), np.array([1, 1, 3, 4])
    column, rows = loss_column(nll, row, has_perplexity=True)
    assert rows.tolist() == [1, 3, 4]
    assert column.field("perplexity").to_pylist() == [np.exp(1.5), np.exp(4.0), np.inf]
    others = [column.field(name) for name in ("loss", "nll", "num_tokens")]
    assert others == list(loss_column(nll, row)[0].flatten())

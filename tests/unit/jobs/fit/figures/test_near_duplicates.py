"""Near duplicates against all products."""

import numpy as np
import pytest

from jobs.fit.figures.near_duplicates import near_duplicates


@pytest.mark.parametrize("min_cosine", [0.99, 0.95])
def test_planted_pairs_are_found_and_no_others(min_cosine: float) -> None:
    generator = np.random.default_rng(1)
    fitted = generator.normal(size=(9000, 40)).astype(np.float32)
    others = generator.normal(size=(2500, 40)).astype(np.float32)
    sources = generator.choice(9000, 600, replace=False)
    noise = generator.normal(size=(600, 40)) * np.linspace(0, 0.4, 600)[:, None]
    others[100:700] = 3 * (fitted[sources] + noise)

    found = near_duplicates(fitted, np.arange(9000) + 5, others, np.arange(2500) + 20_000, min_cosine)
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (others, fitted)]
    cosines = units[0] @ units[1].T
    assert found.num_rows == 2500
    assert found.num_found == pytest.approx(int((cosines.max(axis=1) >= min_cosine).sum()), abs=2)
    assert 100 < found.num_found < 600
    for row, fit_row, cosine in found.examples:
        assert cosines[row - 20_000, fit_row - 5] == pytest.approx(cosine, abs=1e-5)


def test_rows_of_zeros_are_near_nothing() -> None:
    rows = np.zeros((3, 4), dtype=np.float32)
    assert near_duplicates(rows, np.arange(3), rows, np.arange(3), 0.99).num_found == 0

from collections.abc import Callable

import pytest
import torch

from jobs.benchmark import products
from jobs.benchmark.products import product_cases, sustained
from jobs.benchmark.timing import PRODUCTS, Case
from model import XLMRobertaXLConfig

CONFIG = XLMRobertaXLConfig(
    hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=1, vocab_size=10
)


@pytest.mark.parametrize(("time_of_one", "num_runs"), [(10.0, 3), (7.0, 4), (60.0, 1)])
def test_a_sustained_product_is_as_many_runs_as_fill_the_time(
    time_of_one: float, num_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    def time_of(run: Callable[[], object], device: str) -> float:
        run()
        return time_of_one

    monkeypatch.setattr(products, "time_of", time_of)
    case = sustained(Case("product", lambda: runs.append(0), 0, 100, PRODUCTS), "cpu", seconds=30.0)
    runs.clear()
    case.run()
    assert len(runs) == num_runs
    assert case.flops == 100 * num_runs
    assert (case.name, case.group, case.warms_up) == ("product, 30 s", PRODUCTS, False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_form_of_the_products_has_the_same_operations(dtype: torch.dtype) -> None:
    cases = product_cases(CONFIG, 8, dtype, "cpu")
    # Query, key, value and output; up and down.
    assert {case.flops for case in cases} == {2 * 8 * (4 * 32 * 32 + 2 * 32 * 64)}
    for case in cases:
        case.run()

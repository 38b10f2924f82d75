"""The dtype in which sums are kept, and products that autocast leaves alone."""

import pytest
import torch

from model.kernels.hardware import exact_bf16_products
from model.kernels.precision import wide_dtype, widened, without_autocast


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_it_is_fp32_at_least(dtype: torch.dtype, expected: torch.dtype) -> None:
    assert wide_dtype(dtype) == expected
    x = torch.ones(3, dtype=dtype)
    assert widened(x).dtype == expected
    assert (widened(x) is x) == (dtype == expected)


def test_products_keep_their_dtype_where_autocast_is_on() -> None:
    x = torch.rand(4, 4)
    for left_alone in (lambda: without_autocast(x.device), exact_bf16_products):
        with torch.autocast("cpu", torch.bfloat16):
            assert (x @ x).dtype == torch.bfloat16
            with left_alone():
                assert (x @ x).dtype == torch.float32
            assert (x @ x).dtype == torch.bfloat16


@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
def test_nothing_changes_where_it_is_off(device: str) -> None:
    with without_autocast(torch.device(device)):
        assert not torch.is_autocast_enabled("cpu")
        assert not torch.is_autocast_enabled("cuda")

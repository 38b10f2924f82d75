"""The rules by which kernels of our own are chosen on a GPU."""

import importlib.util
import shutil
from collections.abc import Iterator

import pytest
import torch

from model.inference import encoder
from model.inference.encoder import add_norms
from model.inference.float8_linear import quantizer
from model.kernels.float8 import quantize_float8
from model.kernels.hardware import has_triton, runs_triton


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    has_triton.cache_clear()
    yield
    has_triton.cache_clear()


@pytest.mark.parametrize(
    ("device", "compilers", "is_installed", "expected"),
    [
        ("cuda", {"gcc"}, True, True),
        ("cuda", {"clang"}, True, True),
        ("cuda", set(), True, False),
        ("cuda", {"gcc"}, False, False),
        ("cpu", {"gcc"}, True, False),
    ],
)
def test_kernels_in_triton_want_a_gpu_triton_and_a_compiler(
    device: str, compilers: set[str], is_installed: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name in compilers else None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "found" if is_installed else None)
    assert runs_triton(torch.device(device)) is expected


def test_norms_of_float64_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel in Triton would compute them in fp32."""
    monkeypatch.setattr(encoder, "runs_triton", lambda device: True)
    assert add_norms(torch.device("cuda"), torch.float64, None) == (encoder.torch_add_norm, encoder.torch_add_norm)


def test_without_them_torch_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for device in map(torch.device, ("cpu", "cuda")):
        assert add_norms(device, torch.bfloat16, "float8") == (encoder.torch_add_norm, encoder.torch_add_norm)
        assert quantizer(device, None) is quantize_float8

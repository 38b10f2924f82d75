"""How dtypes are named, and where quantization is refused."""

import pytest
import torch

from model.inference.quantization import Precision, refuse_quantization


def test_names_of_dtypes() -> None:
    assert Precision.named("float32") == Precision(torch.float32)
    assert Precision.named("int8") == Precision(torch.bfloat16, "int8")
    assert Precision.named("float8") == Precision(torch.bfloat16, "float8")


def test_int8_is_refused_where_it_would_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="int8 needs a CPU with AVX-512 VNNI, found the device cuda"):
        refuse_quantization("int8", torch.device("cuda"), torch.bfloat16, [])
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.raises(ValueError, match="int8 needs a CPU with AVX-512 VNNI, this one has none"):
        refuse_quantization("int8", torch.device("cpu"), torch.bfloat16, [])


def test_float8_is_refused_on_gpus_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    with pytest.raises(ValueError, match=r"compute capability 8\.9 or more, found 8\.0"):
        refuse_quantization("float8", torch.device("cuda"), torch.bfloat16, [])

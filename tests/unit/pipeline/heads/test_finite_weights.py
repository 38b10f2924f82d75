"""Weights that are not finite in their file or in the model's dtype, in every dtype and layout of a checkpoint."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.checkpoints.tensor_files import open_tensor_file
from model.layers.head_layers import Classifying
from pipeline.errors import ConfigError
from pipeline.heads.finite_weights import first_bits_beyond, largest_bits, require_finite_weights
from pipeline.heads.resolve import resolve_heads
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint

NAN, INF = float("nan"), float("inf")
VECTOR = {"task": "embedding"}
TRUNK_TENSOR = "roberta.encoder.layer.1.intermediate.dense.weight"
STORED = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def edited(whole: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies of the checkpoint with other tensors."""

    def edit(change: Callable[[Tensors], Any], name: str = "model") -> Path:
        directory = tmp_path / name
        shutil.copytree(whole, directory)
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors")
        return directory

    return edit


def check(model: Path, /, *heads: dict[str, Any], dtype: str = "auto") -> None:
    job = job_of(model, {f"head {i}": h for i, h in enumerate(heads or (VECTOR,))}, model={"dtype": dtype})
    require_finite_weights(job, resolve_heads(job))


def refusal(model: Path, /, *heads: dict[str, Any], dtype: str = "auto") -> str:
    with pytest.raises(ConfigError) as caught:
        check(model, *heads, dtype=dtype)
    return str(caught.value)


def test_a_head_in_fp32_may_have_numbers_beyond_float16(
    edited: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = edited(put("classifier.out_proj.weight", 7e4))
    topic = {"task": "text-classification"}
    assert "float16" in refusal(model, topic, dtype="float16")
    monkeypatch.setattr(Classifying, "is_fp32", True)
    check(model, topic, dtype="float16")


def put(name: str, value: float, dtype: torch.dtype = torch.float32) -> Callable[[Tensors], None]:
    """Store a tensor in a dtype, with this as its last number."""

    def change(tensors: Tensors) -> None:
        tensor = tensors[name].double()
        tensor.view(-1)[-1] = value
        tensors[name] = tensor.to(dtype)

    return change


@pytest.mark.parametrize(
    ("stored", "value"),
    [(stored, value) for stored in STORED for value in (NAN, -NAN, INF, -INF)],
    ids=str,
)
def test_a_number_that_is_none(stored: torch.dtype, value: float, edited: Callable[..., Path]) -> None:
    model = edited(put(TRUNK_TENSOR, value, stored))
    assert refusal(model) == (
        f"model.path: {model}/model.safetensors: tensor {TRUNK_TENSOR} holds NaN or infinity, expected finite "
        "weights; download the file again, or name another checkpoint"
    )


@pytest.mark.parametrize("stored", STORED, ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_number_of_a_dtype_is_one(sign: int, stored: torch.dtype, edited: Callable[..., Path]) -> None:
    largest = min(torch.finfo(stored).max, torch.finfo(torch.bfloat16).max)
    check(edited(put(TRUNK_TENSOR, sign * largest, stored)))


@pytest.mark.parametrize(
    ("stored", "value", "dtype", "fits"),
    [
        (torch.float32, 65519.0, "float16", True),
        (torch.float32, -65520.0, "float16", False),
        (torch.bfloat16, 65536.0, "float16", False),
        (torch.float64, 1e6, "float16", False),
        (torch.float32, 1e6, "bfloat16", True),
        (torch.float32, 1e6, "float32", True),
        (torch.float32, 3.4e38, "float32", True),
        (torch.float32, 3.4e38, "bfloat16", False),
        (torch.float32, 3.4e38, "auto", False),
        (torch.float64, -1e300, "float32", False),
        (torch.float64, 1e38, "auto", True),
    ],
    ids=str,
)
def test_a_number_that_the_dtype_does_not_hold(
    stored: torch.dtype, value: float, dtype: str, fits: bool, edited: Callable[..., Path]
) -> None:
    model = edited(put(TRUNK_TENSOR, value, stored))
    if fits:
        check(model, dtype=dtype)
        return
    found = refusal(model, dtype=dtype)
    assert found.startswith(f'model.dtype: found "{dtype}", expected one that holds the weights of model.path; ')
    assert f"{model}/model.safetensors: tensor {TRUNK_TENSOR} has numbers up to {abs(value):.4g}, and" in found
    remedy = 'set model.dtype = "bfloat16" or "float32"' if dtype == "float16" else "name another checkpoint"
    assert found.endswith(f"; {remedy}")


def named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("stored", STORED, ids=str)
@pytest.mark.parametrize("dtype", STORED, ids=str)
def test_the_first_bits_beyond_a_dtype(dtype: torch.dtype, stored: torch.dtype) -> None:
    """As torch converts them."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[stored.itemsize]
    first = first_bits_beyond(named(dtype), named(stored))
    below, at = torch.tensor([first - 1, first], dtype=integers).view(stored).to(dtype).double().isfinite()
    assert below
    assert not at


def test_the_largest_bits_wherever_they_are() -> None:
    """Across the ends of blocks and tasks."""
    with ThreadPoolExecutor(2) as pool:
        for place in (0, 2**17 - 1, 2**17, 2**22 - 1, 2**22, 2**22 + 3):
            for value in (-7.0, 7.0):
                tensor = torch.linspace(-1, 1, 2**22 + 4).bfloat16()
                tensor[place] = value
                expected = torch.tensor(7.0, dtype=torch.bfloat16).view(torch.int16).item()
                assert largest_bits(tensor.view(torch.uint16).numpy(), pool) == expected
        assert largest_bits(np.empty(0, dtype=np.uint8), pool) == 0


@pytest.mark.parametrize("dtype", STORED, ids=str)
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_the_bits_of_a_tensor_are_those_in_its_file(dtype: torch.dtype, suffix: str, tmp_path: Path) -> None:
    numbers = torch.linspace(-3, 3, 15).to(dtype)
    tensors = {"a": numbers[:3].clone(), "of.no.dimension": numbers[3].clone(), "empty": numbers[:0].view(0, 3)}
    turned = numbers[:12].view(3, 4).t()
    tensors["turned"] = turned if suffix == "bin" else turned.contiguous()
    path = tmp_path / f"file.{suffix}"
    if suffix == "bin":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    file = open_tensor_file(path)
    for name, tensor in tensors.items():
        expected = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        assert file.bits(name).tobytes() == expected, name
        assert len(file.bits(name)) == tensor.numel()


def test_tensors_that_nothing_is_made_of_do_not_matter(edited: Callable[..., Path]) -> None:
    def change(tensors: Tensors) -> None:
        for name in ("classifier.dense.weight", "roberta.pooler.dense.bias", "lm_head.bias"):
            put(name, NAN)(tensors)
        tensors["of.another.model"] = torch.full((2,), NAN)
        tensors["roberta.embeddings.position_ids"] = torch.arange(514)

    model = edited(change)
    check(model)
    assert "tensor classifier.dense.weight" in refusal(model, VECTOR, {"task": "text-classification"})
    # The weights are those of model.path, and no other key names them.
    assert refusal(model, {**VECTOR, "pooling": "pooler"}).startswith(f"model.path: {model}/model.safetensors: ")
    assert "tensor lm_head.bias" in refusal(model, {"task": "masked-lm-loss"})


def test_the_field_that_names_the_checkpoint(whole: Path, edited: Callable[..., Path]) -> None:
    classify = {"task": "text-classification"}
    head = edited(put("classifier.out_proj.bias", INF), "head")
    found = refusal(whole, VECTOR, {**classify, "weights": str(head)})
    assert found.startswith(
        f"heads.head 1.weights: {head}/model.safetensors: tensor classifier.out_proj.bias holds"
    )
    trunk = edited(put(TRUNK_TENSOR, INF), "trunk")
    found = refusal(whole, VECTOR, {**VECTOR, "trunk": str(trunk)})
    assert found.startswith(f"heads.head 1.trunk: {trunk}/model.safetensors: tensor {TRUNK_TENSOR} holds")
    # The head's own file holds a trunk that is not used.
    check(whole, {**classify, "weights": str(trunk)})


def test_pickled_and_sharded_checkpoints(edited: Callable[..., Path]) -> None:
    model = edited(put(TRUNK_TENSOR, NAN))
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(tensors, model / "pytorch_model.bin")
    assert f"{model}/pytorch_model.bin: tensor {TRUNK_TENSOR} holds" in refusal(model)
    (model / "pytorch_model.bin").unlink()
    files = {name: "a.safetensors" if name == TRUNK_TENSOR else "b.safetensors" for name in tensors}
    for file in sorted(set(files.values())):
        save_file({name: tensors[name] for name, place in files.items() if place == file}, model / file)
    index = json.dumps({"weight_map": files})
    (model / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert f"{model}/a.safetensors: tensor {TRUNK_TENSOR} holds" in refusal(model)

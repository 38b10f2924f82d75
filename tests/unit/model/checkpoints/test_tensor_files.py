"""Pickled checkpoints: read like safetensors, mapped, and refused where they hold code or are damaged."""

import json
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import CheckpointError, XLMRobertaXLConfig, XLMRobertaXLForMaskedLM
from model.checkpoints import tensor_files
from model.checkpoints.reader import Checkpoint
from model.checkpoints.tensor_files import PickledFile, SafetensorsFile, open_tensor_file
from model.parallel.shard import Shard
from tests.checkpoints import write_random_checkpoint

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A checkpoint in one `.bin` file, in the stored dtype float16."""
    write_random_checkpoint(tmp_path, CONFIG, heads=frozenset({"lm_head"}), dtype=torch.float16, std=0.1)
    torch.save(OrderedDict(load_file(tmp_path / "model.safetensors")), tmp_path / "pytorch_model.bin")
    return tmp_path


def loaded_states(directory: Path) -> dict[str, torch.Tensor]:
    return dict(XLMRobertaXLForMaskedLM.from_pretrained(directory).state_dict())


@pytest.mark.parametrize("layout", ["one file", "old format", "several files"])
def test_a_pickled_checkpoint_reads_like_safetensors(directory: Path, layout: str) -> None:
    expected = loaded_states(directory)
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    single = directory / "pytorch_model.bin"
    if layout == "old format":
        torch.save(tensors, single, _use_new_zipfile_serialization=False)
    elif layout == "several files":
        single.unlink()
        weight_map = {name: f"pytorch_model-{i % 2 + 1:05}-of-00002.bin" for i, name in enumerate(tensors)}
        for file in set(weight_map.values()):
            torch.save({n: tensors[n] for n in tensors if weight_map[n] == file}, directory / file)
        (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    found = loaded_states(directory)
    assert set(found) == set(expected)
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def test_an_index_of_pickles_cannot_name_other_directories(directory: Path) -> None:
    for file in ("model.safetensors", "pytorch_model.bin"):
        (directory / file).unlink()
    index = directory / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/weights.bin"}}))
    with pytest.raises(CheckpointError, match="must name files of its own directory"):
        Checkpoint(directory)


def test_safetensors_are_preferred(directory: Path) -> None:
    (directory / "pytorch_model.bin").write_bytes(b"nothing of the kind")
    assert Checkpoint(directory).files == [directory / "model.safetensors"]


def test_slices_and_shapes_are_the_same_for_both(directory: Path) -> None:
    safe, pickled = (open_tensor_file(directory / f) for f in ("model.safetensors", "pytorch_model.bin"))
    assert isinstance(safe, SafetensorsFile)
    assert isinstance(pickled, PickledFile)
    assert sorted(safe.names) == sorted(pickled.names)
    name = "roberta.encoder.layer.0.output.dense.weight"
    assert safe.shape(name) == pickled.shape(name) == [16, 24]
    for shard in (None, Shard(0, 3, 9, 16), Shard(1, 5, 24, 24), Shard(1, 0, 24, 24)):
        assert torch.equal(safe.read(name, shard), pickled.read(name, shard))
    assert pickled.read(name, Shard(1, 5, 24, 24)).shape == (16, 19)


def test_pickled_tensors_are_mapped_not_read(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(1000.0)}, tmp_path / "x.bin")
    tensor = PickledFile(tmp_path / "x.bin").read("a")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list mapped files")
    assert str(tmp_path / "x.bin") in maps.read_text()
    assert tensor[999] == 999


class _Code:
    """Unpickling it would make a directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(directory: Path, zipped: bool) -> None:
    (directory / "model.safetensors").unlink()
    trap = directory / "trap"
    state = {"a": torch.zeros(2), "b": _Code(str(trap))}
    torch.save(state, directory / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin .*wants to run code, which is refused"):
        XLMRobertaXLForMaskedLM.from_pretrained(directory)
    assert not trap.exists()
    pickle.loads(pickle.dumps(_Code(str(trap))))
    assert trap.exists(), "the trap must be a real one"


@pytest.mark.parametrize("state", [[torch.zeros(2)], {"a": 3}, {"model": {"a": torch.zeros(2)}}, torch.zeros(2)])
def test_anything_but_named_tensors_is_refused(tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="must hold a dictionary of tensors"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(directory: Path, fraction: float, zipped: bool) -> None:
    (directory / "model.safetensors").unlink()
    file = directory / "pytorch_model.bin"
    state = torch.load(file, weights_only=True)
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        XLMRobertaXLForMaskedLM.from_pretrained(directory)


def test_pages_that_were_copied_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process would hold the whole checkpoint beside the weights that it has copied from it."""
    path = tmp_path / "model.safetensors"
    tensors = {f"t{i}": torch.full((2**18,), float(i)) for i in range(16)}
    save_file(tensors, path)

    def resident_bytes() -> int:
        """Of the mappings of the file, what is in memory."""
        blocks = Path("/proc/self/smaps").read_text(encoding="utf-8").split(str(path))[1:]
        found = [re.search(r"Rss:\s+(\d+) kB", block) for block in blocks]
        return sum(int(match[1]) * 1024 for match in found if match)

    def most_resident() -> int:
        file, most = SafetensorsFile(path), 0
        for name, tensor in tensors.items():
            copied = file.read(name).clone()
            assert torch.equal(copied, tensor)
            most = max(most, resident_bytes())
        return most

    all_bytes = path.stat().st_size
    assert most_resident() >= 0.9 * all_bytes
    monkeypatch.setattr(tensor_files, "MAX_MAPPED_BYTES", 2**20)
    assert most_resident() <= 0.6 * all_bytes

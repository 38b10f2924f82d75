"""The index of a checkpoint: which files it may name, and what else is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from model import CheckpointError
from model.checkpoints.index_file import read_index


@pytest.mark.parametrize("weight_map", [None, {}, [], ["a"], "a", 1, True])
def test_anything_but_a_map_of_tensors_is_refused(tmp_path: Path, weight_map: Any) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=f"^{path} must hold a JSON object with 'weight_map'.*found"):
        read_index(path)


@pytest.mark.parametrize(
    "file",
    [None, 1, True, ["a"], {"a": "b"}, "", ".", "..", "a/b", "../a", "/etc/passwd", "a\0", "x" * 300, "é" * 200],
)
def test_anything_but_a_name_in_its_own_directory_is_refused(tmp_path: Path, file: Any) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": file}}))
    with pytest.raises(
        CheckpointError, match=rf"^{path} must name files of its own directory, found .* 'b'"
    ) as caught:
        read_index(path)
    assert len(str(caught.value)) < 500


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text('{"weight_map": {"a": "model-1.safetensors", "a": "model-2.safetensors"}}')
    with pytest.raises(CheckpointError, match=f"^{path} .*the key 'a' is there twice"):
        read_index(path)


def test_the_map_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text('{"metadata": {"total_size": 8}, "weight_map": {"a": "model-1.safetensors"}}')
    assert read_index(path) == {"a": "model-1.safetensors"}

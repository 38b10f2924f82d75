"""Checkpoints of Lightning: tensors as they were saved, stand-ins for the rest, and no code is run."""

import builtins
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.errors import CheckpointError
from model.conversion.lightning_file import StandIn, load_lightning_file
from tests.comet_checkpoints import METRICS, lightning_state


def saved(path: Path, state: Any) -> Path:
    torch.save(state, path / "model.ckpt")
    return path / "model.ckpt"


def test_tensors_of_every_dtype_and_form(tmp_path: Path) -> None:
    whole = torch.randn(6, 4)
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8)
    tensors = {str(dtype): torch.arange(5).to(dtype) for dtype in dtypes}
    tensors |= {
        "bool": torch.tensor([True, False]),
        "view": whole[2:, 1:3],
        "turned": whole.t(),
        "same storage": whole[0],
        "number": torch.tensor(2.5),
        "none": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(whole[:2].clone()),
    }
    found = load_lightning_file(saved(tmp_path, {"state_dict": tensors}))["state_dict"]
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert type(found[name]) is torch.Tensor
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach()), name
    assert found["view"].stride() == whole.stride()


def test_objects_of_lightning_are_stand_ins(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        path = saved(
            tmp_path, {"state_dict": {"a": torch.ones(2)}, **lightning_state(monkeypatch, METRICS["unite"])}
        )
    before = set(sys.modules)
    found = load_lightning_file(path)
    assert set(sys.modules) == before
    assert torch.equal(found["state_dict"]["a"], torch.ones(2))
    hyper_parameters = found["hyper_parameters"]
    assert isinstance(hyper_parameters, StandIn)
    assert hyper_parameters.items == METRICS["unite"]
    assert found["global_step"] == 12_000
    [callback] = found["callbacks"].values()
    assert isinstance(callback["x"], StandIn)
    assert isinstance(found["lr_schedulers"][0]["paths"], StandIn)


class _Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def payloads(mark: Path) -> dict[str, object]:
    write = f"open({str(mark)!r}, 'w').write('x')"
    return {
        "system": _Calls(os.system, f"touch {mark}"),
        "eval": _Calls(eval, write),
        "exec": _Calls(exec, write),
        "process": _Calls(subprocess.call, ["touch", str(mark)]),
        "import": _Calls(builtins.__import__, "antigravity"),
        "folder": _Calls(os.mkdir, str(mark)),
        "made file": _Calls(io.FileIO, str(mark), "w"),
        "torch's": _Calls(torch.load, str(mark)),
    }


@pytest.mark.parametrize("kind", payloads(Path()))
def test_no_code_is_run(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "mark"
    state = {"state_dict": {"a": torch.ones(2)}, "callbacks": {"bad": payloads(mark)[kind]}}
    found = load_lightning_file(saved(tmp_path, state))
    assert torch.equal(found["state_dict"]["a"], torch.ones(2))
    assert isinstance(found["callbacks"]["bad"], StandIn)
    assert not mark.exists()
    assert "antigravity" not in sys.modules


def test_the_payload_is_one(tmp_path: Path) -> None:
    """What the test above loads does run when it is trusted."""
    mark = tmp_path / "mark"
    torch.load(saved(tmp_path, {"x": payloads(mark)["folder"]}), weights_only=False)
    assert mark.exists()


def archive(path: Path, pickled: bytes, **storages: bytes) -> Path:
    with zipfile.ZipFile(path / "model.ckpt", "w") as file:
        for name, content in storages.items():
            # With a name of 14 bytes, numbers begin at a multiple of four.
            file.writestr(f"archive/data/{name[1:]}", content)
        file.writestr("archive/data.pkl", pickled)
    return path / "model.ckpt"


class _Persistent(pickle.Pickler):
    """Writes a tensor as torch does, with whatever it is told of it."""

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, list) and value[:1] == ["storage"]:
            return ("storage", torch.FloatStorage, value[1], "cpu", value[2])
        return None


def tensor_file(path: Path, key: str, num_elements: int, *rebuilt: Any) -> Path:
    file = io.BytesIO()
    call = _Calls(torch._utils._rebuild_tensor_v2, ["storage", key, num_elements], *rebuilt)
    _Persistent(file, protocol=2).dump({"state_dict": {"a": call}})
    return archive(path, file.getvalue(), _0=struct.pack("<4f", 1, 2, 3, 4))


def test_a_file_that_is_written_by_hand(tmp_path: Path) -> None:
    path = tensor_file(tmp_path, "0", 4, 1, (2,), (2,), False, {})
    assert load_lightning_file(path)["state_dict"]["a"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("key", "num_elements", "rebuilt"),
    [
        ("0", 5, (0, (5,), (1,))),
        ("0", -1, (0, (1,), (1,))),
        ("0", 4, (3, (2,), (1,))),
        ("0", 4, (0, (2,), (4,))),
        ("0", 4, (-1, (1,), (1,))),
        ("0", 4, (3, (2,), (-1,))),
        ("0", 4, (0, (2**40, 2**40), (1, 1))),
        ("1", 4, (0, (1,), (1,))),
        ("../data.pkl", 1, (0, (1,), (1,))),
    ],
)
def test_tensors_beyond_their_storage_are_refused(
    tmp_path: Path, key: str, num_elements: int, rebuilt: tuple[Any, ...]
) -> None:
    with pytest.raises(CheckpointError, match="is not a readable torch file"):
        load_lightning_file(tensor_file(tmp_path, key, num_elements, *rebuilt, False, {}))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": {"a": torch.ones(9)}})
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(CheckpointError, match="is not a readable torch file"):
        load_lightning_file(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("model/data.pkl", b"x" * 999)
    with pytest.raises(CheckpointError, match=r"expected members as torch\.save writes them"):
        load_lightning_file(path)
    with pytest.raises(CheckpointError, match="must hold a dictionary, found list"):
        load_lightning_file(archive(tmp_path, pickle.dumps([1], protocol=2)))
    with pytest.raises(CheckpointError, match="entry 4294967295 of the memo"):
        load_lightning_file(archive(tmp_path, b"\x80\x02}r\xff\xff\xff\xff."))
    torch.save({}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="must be a zip archive"):
        load_lightning_file(path)
    with pytest.raises(CheckpointError, match="is not a readable torch file"):
        load_lightning_file(tmp_path / "nothing")

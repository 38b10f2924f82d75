"""Files of `torch.save` that are damaged, or that would take more memory than they have bytes."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from model import CheckpointError
from model.checkpoints.tensor_files import PickledFile
from model.checkpoints.torch_file import load_pickle

STATE = {"a": torch.arange(64.0), "b": torch.ones(2, 3)}


def saved(state: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    members = members_of(saved(STATE)) | {"archive/data/0": bytes(2**28)}
    path = write(tmp_path / "pytorch_model.bin", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: its member .* is compressed \(\d+ bytes for"):
        load_pickle(path)


def test_compressed_members_are_refused_and_not_taken_for_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "pytorch_model.bin", members_of(saved(STATE)), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="is compressed"):
        load_pickle(path)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    content = bytearray(saved(STATE))
    directory = content.index(b"PK\x01\x02")
    entry = content.index(b"data/0", directory) - 46 - len("archive/")
    for field in (20, 24):  # compressed and uncompressed size
        content[entry + field : entry + field + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"pytorch_model\.bin .*expected distinct ones with at most the file's"
    ):
        load_pickle(tmp_path / "pytorch_model.bin")


def test_an_archive_that_spans_disks_is_refused(tmp_path: Path) -> None:
    content = bytearray(saved(STATE))
    locator = content.rindex(b"PK\x06\x07")
    content[locator + 16 : locator + 20] = (9).to_bytes(4, "little")
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not a readable torch file"):
        load_pickle(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02h\x05.",  # a memo that was never stored: KeyError
        b"\x80\x02\x8c\xff.",  # a string that ends with the file: IndexError
        b"\x80\x02a.",  # nothing to append to: IndexError
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",  # no arguments: TypeError
        b"\x80\x02cstorage\nFloatStorage\n.",
        b"\x80\x02Y",
        b"",
    ],
)
@pytest.mark.parametrize("is_archive", [True, False])
def test_damaged_pickles_of_any_kind_are_refused(tmp_path: Path, pickled: bytes, is_archive: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    if is_archive:
        write(path, members_of(saved(STATE)) | {"archive/data.pkl": pickled})
    else:
        path.write_bytes(pickled)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not a "):
        load_pickle(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**40, 1),
        torch.zeros(8).as_strided((2**20, 8), (0, 1)),
        torch.eye(3).to_sparse(),
        torch.empty(2, 3, device="meta"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # torch says that some of these kinds will go
def test_tensors_that_are_not_plain_numbers_are_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"good": torch.zeros(2), "bad": tensor}, path)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*"):
        PickledFile(path)


def test_views_of_a_storage_are_accepted(tmp_path: Path) -> None:
    """As old checkpoints have them: transposed, slices of each other, and `arange(n).expand((1, -1))`."""
    path, base = tmp_path / "pytorch_model.bin", torch.arange(12.0).view(3, 4)
    state = {"a": base, "b": base.T, "c": base[1:], "positions": torch.arange(7).expand((1, -1)), "none": base[:0]}
    torch.save(state, path)
    file = PickledFile(path)
    assert all(torch.equal(file.read(name), tensor) for name, tensor in state.items())


def test_names_must_be_strings(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="must name its tensors by strings, found int"):
        PickledFile(tmp_path / "pytorch_model.bin")

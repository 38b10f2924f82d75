"""How the kernels are built and kept, and what happens where they cannot be."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model.kernels.amx import library
from model.kernels.amx.library import build, cache_directory, runs_amx_kernels

BF16 = torch.empty(0, dtype=torch.bfloat16)
needs_amx_kernels = pytest.mark.skipif(not runs_amx_kernels(BF16), reason="no AMX on this CPU, or no gcc")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Every test looks for the library anew, and so does whatever comes after it."""
    library._library.cache_clear()
    yield
    library._library.cache_clear()


def a_gcc(directory: Path, script: str) -> None:
    directory.mkdir()
    gcc = directory / "gcc"
    gcc.write_text(f"#!/bin/sh\n{script}\n")
    gcc.chmod(0o755)


def test_cache_directory_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_directory() == tmp_path / "cache" / "xlmr-ray"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "xlmr-ray"


@needs_amx_kernels
def test_library_is_built_once(tmp_path: Path) -> None:
    built = build(tmp_path / "new")
    before = built.stat()
    assert build(tmp_path / "new") == built
    assert built.stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in (tmp_path / "new").iterdir()] == [built.name]


@needs_amx_kernels
def test_other_sources_or_flags_make_another_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = build(tmp_path)
    monkeypatch.setattr(library, "_FLAGS", (*library._FLAGS, "-O2"))
    assert build(tmp_path) != built


@needs_amx_kernels
def test_a_gcc_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    a_gcc(tmp_path / "bin", "echo 'unrecognized option -mamx-tile' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path / "other")
    with pytest.warns(RuntimeWarning, match=r"takes gcc 11 or later.* Found: unrecognized option -mamx-tile"):
        assert not runs_amx_kernels(BF16)
    assert list((tmp_path / "cache" / "xlmr-ray").iterdir()) == []


@needs_amx_kernels
def test_without_a_place_to_keep_it_the_library_is_built_for_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert runs_amx_kernels(BF16)
    assert list(tmp_path.iterdir()) == []


@needs_amx_kernels
def test_a_library_that_is_damaged_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build(cache_directory()).write_bytes(b"\x7fELF")
    assert runs_amx_kernels(BF16)


@needs_amx_kernels
def test_without_gcc_a_library_that_was_built_before_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not runs_amx_kernels(BF16)
    monkeypatch.setenv("PATH", path)
    build(cache_directory())
    monkeypatch.setenv("PATH", str(tmp_path))
    library._library.cache_clear()
    assert runs_amx_kernels(BF16)


@needs_amx_kernels
def test_a_disk_without_room_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    with pytest.warns(RuntimeWarning, match=r"layers run without tiles.* Found: .*/dev/null"):
        assert not runs_amx_kernels(BF16)


def test_other_dtypes_have_no_kernels() -> None:
    assert not runs_amx_kernels(torch.empty(0))
    assert not runs_amx_kernels(torch.empty(0, dtype=torch.float16))

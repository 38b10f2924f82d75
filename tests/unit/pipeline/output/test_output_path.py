import os
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import InputError
from pipeline.output.output_path import open_output


def test_a_folder_that_is_there_or_can_be_made(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "a/b/c"):
        assert open_output(str(path)).root == str(path)
    assert list(tmp_path.iterdir()) == []


def test_files_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/out")
    for name in ("file", "file/x/y"):
        with pytest.raises(InputError, match=r"output\.path: .*/file is no folder, expected a folder"):
            open_output(str(tmp_path / name))
    with pytest.raises(InputError, match=r"/link is a symbolic link that leads nowhere, expected a folder"):
        open_output(str(tmp_path / "link/x"))


def test_folders_that_hold_more_than_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home/me").mkdir(parents=True)
    (tmp_path / "link").symlink_to("home")
    monkeypatch.setenv("HOME", str(tmp_path / "home/me"))
    monkeypatch.chdir(tmp_path)
    for path, what in [
        ("/", "the root of the file system"),
        ("//", "the root of the file system"),
        ("file:///", "the root of the file system"),
        ("~", "your home folder"),
        ("home", "a folder above your home folder"),
        ("link", "a folder above your home folder"),
        (".", "a folder above your home folder"),
    ]:
        with pytest.raises(
            InputError, match=rf"output\.path: .* is {what}, expected a folder for the output alone"
        ):
            open_output(path)
    for path in ("~/out", "home/you", "link/me/out"):
        open_output(path)
    monkeypatch.chdir(tmp_path / "home/me")
    (tmp_path / "home/me/out").mkdir()
    monkeypatch.chdir(tmp_path / "home/me/out")
    assert open_output(".").root == str(tmp_path / "home/me/out")


def test_an_output_that_was_begun_in_such_a_folder_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_manifest").mkdir()
    (tmp_path / "_manifest/run.json").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    open_output(str(tmp_path))


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    with pytest.raises(InputError, match=rf"output\.path: {tmp_path} is not writable by this user"):
        open_output(str(tmp_path / "out"))


def test_objects_and_buckets() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/object", b"")
    try:
        with pytest.raises(InputError, match=r"output\.path: memory://bucket/object is a file, expected a folder"):
            open_output("memory://bucket/object")
        assert open_output("memory://bucket").root == "/bucket"
    finally:
        store.store.clear()

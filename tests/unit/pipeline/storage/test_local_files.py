"""Changes through a workspace: whoever has lost it changes nothing, whatever it does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import LeaseLostError
from pipeline.storage.local_files import WORKSPACES, LocalFiles
from tests.unit.pipeline.input_files import tree

CHANGES: dict[str, Callable[[LocalFiles], object]] = {
    "write": lambda files: files.write("a/new", b"late"),
    "replace": lambda files: files.write("a/old", b"late"),
    "move": lambda files: files.move("a/old", "b"),
    "delete": lambda files: files.delete("a/old"),
    "delete folder": lambda files: files.delete("a"),
    "take over": lambda files: files.take_over(),
}


def opened(root: Path, claim: str) -> LocalFiles:
    files = LocalFiles(str(root), claim)
    files.open_workspace()
    return files


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_driver_whose_workspace_was_taken_changes_nothing(
    change: Callable[[LocalFiles], object], tmp_path: Path
) -> None:
    first = opened(tmp_path, "1")
    first.write("a/old", b"old")
    second = opened(tmp_path, "2")
    second.take_over()
    before = tree(tmp_path)
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="the lease is lost"):
            change(first)
    assert tree(tmp_path) == before
    first.close_workspace()
    second.write("a/old", b"new")
    second.close_workspace()
    assert tree(tmp_path) == {"a": None, "a/old": b"new"}


@pytest.mark.parametrize("number", [1, 2], ids=["into the workspace", "out of it"])
def test_the_next_driver_completes_a_move_that_was_broken_off(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path, "1")
    first.write("a/old", b"1")
    rename, calls = os.replace, []

    def dies(old: str, new: str) -> None:
        calls.append(new)
        if len(calls) == number:
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            first.move("a/old", "b/c/new")
    first.close_workspace()
    for claim in ("2", "3"):
        # The second one may die before it has completed anything.
        opened(tmp_path, claim)
    last = opened(tmp_path, "4")
    last.take_over()
    last.close_workspace()
    name = "a/old" if number == 1 else "b/c/new"
    assert {path: data for path, data in tree(tmp_path).items() if data is not None} == {name: b"1"}


def test_links_are_deleted_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/victim").write_bytes(b"1")
    files = opened(tmp_path / "out", "1")
    for name in ("_staged", "a.parquet", "b"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out/c").symlink_to(tmp_path / "elsewhere/victim")
    assert [path for path, _ in files.list("", recursive=True) if not path.startswith(WORKSPACES)] == []
    assert files.read("c") is None
    with pytest.raises(OSError, match="is a symbolic link, expected a folder"):
        files.write("b/new", b"2")
    for name in ("_staged", "a.parquet", "b", "c"):
        files.delete(name)
    files.close_workspace()
    assert tree(tmp_path / "out") == {}
    assert tree(tmp_path / "elsewhere") == {"victim": b"1"}


def test_workspaces_of_versions_before_claims_are_cleared(tmp_path: Path) -> None:
    (tmp_path / WORKSPACES).mkdir()
    (tmp_path / WORKSPACES / "0123.tmp").write_bytes(b"half")
    files = opened(tmp_path, "1")
    files.take_over()
    files.close_workspace()
    assert tree(tmp_path) == {}

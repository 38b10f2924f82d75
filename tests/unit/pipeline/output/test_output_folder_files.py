import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyarrow import fs

from pipeline.errors import OutputError
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.local_files import WORKSPACES
from tests.unit.pipeline.input_files import rows, write

LOCAL = fs.LocalFileSystem()


def files_under(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_puts_a_file_into_folders_that_are_not_there_and_replaces_it(tmp_path: Path) -> None:
    for data in (b"first", pa.py_buffer(b"second")):
        OutputFolder(LOCAL, str(tmp_path / "out")).put("a/b/c.json", data)
    assert (tmp_path / "out/a/b/c.json").read_bytes() == b"second"
    assert files_under(tmp_path) == ["out/a/b/c.json"]


def test_is_flushed_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        size = path.stat().st_size if path.is_file() else 0
        events.append(f"sync {path.relative_to(tmp_path).parts[0]} {size}")

    rename = os.replace

    def replace(old: str, new: str) -> None:
        events.append(f"rename to {Path(new).relative_to(tmp_path)}")
        rename(old, new)

    (tmp_path / WORKSPACES).mkdir()
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    OutputFolder(LOCAL, str(tmp_path)).put("a/b", b"12345")
    assert events == [f"sync {WORKSPACES} 5", "rename to a/b", "sync a 0"]


def test_readers_of_the_folder_do_not_see_a_file_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "done.parquet", rows(3))
    seen: list[list[str]] = []

    rename = os.replace

    def replace(old: str, new: str) -> None:
        assert Path(old).read_bytes() == b"half a file"
        seen.append(ds.dataset(tmp_path, format="parquet").files)
        seen.append([str(path) for path in tmp_path.rglob("*.parquet")])
        rename(old, new)

    monkeypatch.setattr(os, "replace", replace)
    OutputFolder(LOCAL, str(tmp_path)).put("new.parquet", b"half a file")
    assert seen == [[str(tmp_path / "done.parquet")]] * 2


def test_a_write_that_is_broken_off_leaves_nothing_and_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OutputFolder(LOCAL, str(tmp_path)).put("a", b"old")

    def fsync(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(KeyboardInterrupt):
        OutputFolder(LOCAL, str(tmp_path)).put("a", b"new")
    assert files_under(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not permitted")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk(full_disk: Path) -> None:
    OutputFolder(LOCAL, str(full_disk)).put("small", b"s" * 1000)
    with pytest.raises(OutputError, match=r"/large cannot be written: No space left on device; check"):
        OutputFolder(LOCAL, str(full_disk)).put("large", b"l" * 100_000)
    with pytest.raises(OutputError, match="No space left on device"):
        OutputFolder(LOCAL, str(full_disk)).put("small", b"l" * 100_000)
    assert files_under(full_disk) == ["small"]
    assert (full_disk / "small").read_bytes() == b"s" * 1000
    OutputFolder(LOCAL, str(full_disk)).put("next", b"n" * 1000)


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pyarrow import fs
from pipeline.errors import OutputError
from pipeline.output.output_folder import OutputFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    OutputFolder(fs.LocalFileSystem(), sys.argv[1]).put("a", b"x" * 100_000)
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"output.path: {tmp_path}/a cannot be written: File too large" in done.stdout
    assert files_under(tmp_path) == []


def test_a_file_that_several_delete_at_the_same_time(tmp_path: Path) -> None:
    num_files, num_threads = 500, 4
    (tmp_path / "a").mkdir()
    for i in range(num_files):
        (tmp_path / f"a/{i}").touch()
    begin = Barrier(num_threads)

    def delete_all() -> None:
        begin.wait()
        for i in range(num_files):
            OutputFolder(LOCAL, str(tmp_path)).delete(f"a/{i}")

    with ThreadPoolExecutor(num_threads) as pool:
        for future in [pool.submit(delete_all) for _ in range(num_threads)]:
            future.result()
    assert files_under(tmp_path) == []
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        OutputFolder(LOCAL, str(tmp_path / "out")).put("a/b", b"1")


class TestObjectStore:
    """A file system without renames: here in memory."""

    @pytest.fixture
    def memory(self) -> Iterator[fs.FileSystem]:
        store = fsspec.filesystem("memory")
        yield fs.PyFileSystem(fs.FSSpecHandler(store))
        store.store.clear()

    def test_puts_and_replaces(self, memory: fs.FileSystem) -> None:
        for data in (b"first", b"second"):
            OutputFolder(memory, "bucket/out").put("a/b.gz", data)
        with memory.open_input_file("bucket/out/a/b.gz") as file:
            assert file.read() == b"second"
        listed = memory.get_file_info(fs.FileSelector("bucket", recursive=True))
        assert [info.path.strip("/") for info in listed if info.is_file] == ["bucket/out/a/b.gz"]

    def test_a_failed_upload_leaves_nothing(self, tmp_path: Path) -> None:
        store = FailingStore(tmp_path)
        with pytest.raises(OutputError, match="a cannot be written: the network is down"):
            OutputFolder(store, str(tmp_path)).put("a", b"0123456789")
        assert files_under(tmp_path) == []


class FailingStore:
    """A store whose uploads break off in the middle, and are completed when the stream closes."""

    type_name = "s3"

    def __init__(self, root: Path) -> None:
        self.local = fs.LocalFileSystem()
        self.get_file_info = self.local.get_file_info
        self.delete_file = self.local.delete_file

    def open_output_stream(self, path: str, compression: str | None) -> "FailingStream":
        return FailingStream(self.local.open_output_stream(path, compression=compression))


class FailingStream:
    def __init__(self, stream: pa.NativeFile) -> None:
        self.stream = stream

    def __enter__(self) -> "FailingStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, data: bytes) -> None:
        self.stream.write(data[:5])
        raise OSError("the network is down")


class TestEmptyFolders:
    def test_only_those_are_deleted_that_were_made(self, tmp_path: Path) -> None:
        for folder in ("exchange/inbox", "a/b", "a/full", "kept"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "a/full/file").touch()
        OutputFolder(LOCAL, str(tmp_path)).delete_empty_folders(kept=["kept"])
        assert len(list(tmp_path.rglob("*"))) == 7
        OutputFolder(LOCAL, str(tmp_path)).delete_empty_folders(
            kept=["kept"], made=["a", "a/b", "a/full", "kept", "gone"]
        )
        assert {path.name for path in tmp_path.rglob("*")} == {"exchange", "inbox", "a", "full", "file", "kept"}

    def test_a_file_s_folders_go_with_it_also_where_a_killed_process_has_begun(self, tmp_path: Path) -> None:
        (tmp_path / "a/b").mkdir(parents=True)
        (tmp_path / "other").mkdir()
        OutputFolder(LOCAL, str(tmp_path)).delete("a/b/c/gone")
        assert {path.name for path in tmp_path.rglob("*")} == {WORKSPACES, "other"}

"""Changes of objects: only with a claim that is there, and without a rival."""

import pickle
from collections.abc import Iterator
from types import SimpleNamespace

import fsspec
import pytest
from pyarrow import fs

from pipeline.errors import LeaseLostError
from pipeline.storage import store_files
from pipeline.storage.store_files import CLAIMS, StoreFiles, epoch_of

FIRST, RIVAL, SECOND = "00000001-a", "00000001-b", "00000002-c"


@pytest.fixture
def store() -> Iterator[fs.FileSystem]:
    memory = fsspec.filesystem("memory")
    yield fs.PyFileSystem(fs.FSSpecHandler(memory))
    memory.store.clear()


def claimed(store: fs.FileSystem, claim: str) -> StoreFiles:
    files = StoreFiles(store, "/bucket/out", claim)
    files.write_unguarded(f"{CLAIMS}/{claim}.json", b"{}")
    return files


def test_epochs() -> None:
    assert [epoch_of(claim) for claim in (FIRST, SECOND, "0123456789abcdef0123456789abcdef", "")] == [1, 2, 0, 0]


def test_changes_nothing_once_the_claim_is_gone_or_a_later_one_is_there(
    store: fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claimed(store, FIRST)
    first.write("a", b"1")
    claimed(store, SECOND).write("a", b"2")
    monkeypatch.setattr(store_files, "LOOK_HOLDS_S", 0.0)
    for _ in range(2):
        for change in (lambda: first.write("a", b"1"), lambda: first.delete("a"), lambda: first.move("a", "b")):
            with pytest.raises(LeaseLostError):
                change()
        first.delete_unguarded(f"{CLAIMS}/{FIRST}.json")
    assert first.read("a") == b"2"


def test_one_look_is_for_all_objects_that_are_put_within_a_second(
    store: fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(store_files, "time", SimpleNamespace(monotonic=lambda: now[0]))
    first = claimed(store, FIRST)
    first.write("a", b"1")
    claimed(store, SECOND)
    first.write("b", b"1")
    elsewhere = pickle.loads(pickle.dumps(first.last_look))
    assert first.last_look.is_fresh(FIRST)
    assert not first.last_look.is_fresh(SECOND)
    assert not elsewhere.is_fresh(FIRST)
    for change in (lambda: first.delete("a"), lambda: first.move("a", "c")):
        with pytest.raises(LeaseLostError):
            change()
    now[0] += store_files.LOOK_HOLDS_S
    with pytest.raises(LeaseLostError):
        first.write("c", b"1")
    assert [first.read(name) for name in "abc"] == [b"1", b"1", None]


def test_a_claim_that_comes_back_late_does_not_stop_the_next_holder(store: fs.FileSystem) -> None:
    claimed(store, FIRST)
    claimed(store, SECOND).write("a", b"2")


def test_a_rival_is_waited_for_and_ends_it_if_it_stays(
    store: fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, pauses = claimed(store, FIRST), []
    claimed(store, RIVAL)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return 10.0 * len(pauses)

        @staticmethod
        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                first.delete_unguarded(f"{CLAIMS}/{RIVAL}.json")

    monkeypatch.setattr(store_files, "time", Clock)
    first.write("a", b"1")
    assert pauses == [1.0, 1.0]
    claimed(store, RIVAL)
    monkeypatch.setattr(store_files, "LOOK_HOLDS_S", 0.0)
    with pytest.raises(LeaseLostError):
        first.write("a", b"1")


def test_whatever_breaks_an_upload_off_leaves_nothing(
    store: fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ClientError(Exception):
        pass

    class Stream:
        def __enter__(self) -> "Stream":
            return self

        def write(self, data: bytes) -> None:
            with store.open_output_stream("/bucket/out/a") as stream:
                stream.write(data[:2])
            raise ClientError("the connection was closed")

        def __exit__(self, *error: object) -> None:
            pass

    class Broken:
        get_file_info, delete_file = store.get_file_info, store.delete_file

        def open_output_stream(self, path: str, compression: str | None) -> Stream:
            return Stream()

    files = StoreFiles(Broken(), "/bucket/out")
    with pytest.raises(OSError, match="ClientError: the connection was closed"):
        files.write("a", b"1234")
    assert files.read is not None
    assert StoreFiles(store, "/bucket/out").read("a") is None


def test_a_write_that_fails_after_the_lease_was_lost_leaves_the_object_of_the_next_holder(
    store: fs.FileSystem,
) -> None:
    first = claimed(store, FIRST)

    class Stream:
        def __enter__(self) -> "Stream":
            return self

        def write(self, data: bytes) -> None:
            # A pause, in which another driver takes the lease over and writes the same object.
            claimed(store, SECOND).write("a", b"2")
            raise ConnectionResetError(104, "Connection reset by peer")

        def __exit__(self, *error: object) -> None:
            pass

    class Paused:
        get_file_info, delete_file = store.get_file_info, store.delete_file

        def open_output_stream(self, path: str, compression: str | None) -> Stream:
            return Stream()

    with pytest.raises(ConnectionResetError):
        StoreFiles(Paused(), first.root, FIRST).write("a", b"1")
    assert first.read("a") == b"2"

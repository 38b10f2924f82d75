import errno
import os
import re
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.input.file_listing import list_input_files
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import resolve_path
from pipeline.storage.printable import printable
from tests.unit.pipeline.input.listed_files import TREE, listed, problems, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path)


def test_a_folder_is_searched_for_parquet_files(tree: Path) -> None:
    expected = [
        "a.parquet",
        "news/2024/x.parquet",
        "news/2025/y.parquet",
        "news/z[1].parquet",
        "sp ace/ä%20.parquet",
        "spark.parquet/part-0.snappy.parquet",
    ]
    assert listed(tree) == expected
    assert listed(f"{tree}/") == expected
    assert listed(tree / "**") == listed(tree / "**" / "*.parquet") == expected


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.parquet", ["a.parquet", "spark.parquet/part-0.snappy.parquet"]),
        ("news/*/*.parquet", ["2024/x.parquet", "2025/y.parquet"]),
        ("news/*", ["2024/x.parquet", "2025/y.parquet", "z[1].parquet"]),
        ("news/202?", ["2024/x.parquet", "2025/y.parquet"]),
        ("news/202[!4]/*", ["2025/y.parquet"]),
        ("news/202[0-4]/*", ["2024/x.parquet"]),
        ("n*/**/y.parquet", ["news/2025/y.parquet"]),
        ("**/x.parquet", ["news/2024/x.parquet"]),
        ("**/a.parquet", ["a.parquet"]),
        ("news/z[1].parquet", ["z[1].parquet"]),
        ("*/z[[]1].parquet", ["news/z[1].parquet"]),
        ("b.t*", ["b.txt"]),
    ],
)
def test_globs(tree: Path, glob: str, expected: list[str]) -> None:
    # The root is the longest folder without wildcards: relative paths begin after it.
    assert listed(tree / glob) == expected


def test_a_single_file_is_relative_to_its_folder(tree: Path) -> None:
    assert listed(tree / "news/2024/x.parquet") == ["x.parquet"]
    assert listed(tree / "b.txt") == ["b.txt"]


def test_relative_paths_and_home(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tree))
    assert listed("in/news/2024") == listed("~/news/2024") == ["x.parquet"]
    assert listed("./in/../in/*.parquet")[0] == "a.parquet"
    monkeypatch.chdir(tree)
    assert listed("*.parquet")[0] == "a.parquet"


def test_file_uris(tree: Path) -> None:
    assert listed(f"file://{tree}/news/**/*.parquet") == listed(tree / "news")
    assert listed(f"file://{tree}/sp ace") == ["ä%20.parquet"]


def test_a_file_that_two_entries_stand_for_is_read_once(tree: Path) -> None:
    assert listed(tree / "news", tree / "news/2024/x.parquet") == listed(tree / "news")
    assert listed(tree / "a.parquet", tree / "news/2024") == ["a.parquet", "x.parquet"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("nothing", "does not exist"),
        ("nothing/*.parquet", "cannot be listed"),
        ("*.json", "matches no Parquet file"),
        ("_hidden.parquet", "matches no Parquet file"),
        ("news/[b-a]*", "is not a valid glob"),
    ],
)
def test_refuses_entries_that_stand_for_nothing(tree: Path, entry: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"input\.path: .*{re.escape(entry)} {reason}"):
        list_input_files([str(tree), str(tree / entry)])


def test_refuses_unknown_stores_and_mixed_ones(tree: Path) -> None:
    with pytest.raises(InputError, match=r"output\.path: ftp://host/x cannot be opened"):
        resolve_path("ftp://host/x", "output.path")
    store = "s3://bucket/x?region=eu-west-1"
    with pytest.raises(InputError, match="are on different file systems"):
        list_input_files([str(tree), store])


def test_object_stores() -> None:
    filesystem, path = resolve_path("s3://bucket/a b/ä/?region=eu-west-1", "input.path")
    assert isinstance(filesystem, fs.S3FileSystem)
    assert path == "bucket/a b/ä"
    assert resolve_path("s3://bucket/a%20b?region=eu-west-1", "input.path")[1] == "bucket/a b"
    filesystem, path = resolve_path("gs://anonymous@bucket/x", "input.path")
    assert isinstance(filesystem, fs.GcsFileSystem)
    assert path == "bucket/x"


def test_printed_paths_hold_no_secret() -> None:
    uri = "s3://key:secret@bucket/x?endpoint_override=h&secret_key=secret"
    assert without_secret(uri) == "s3://bucket/x"
    assert without_secret(f"bad '{uri}' here") == "bad 's3://bucket/x' here"
    assert without_secret("/data/what?.parquet") == "/data/what?.parquet"


def test_selections_tell_what_the_next_run_would_read(tree: Path) -> None:
    [selection] = list_input_files([str(tree / "news/*/*.parquet")]).selections
    (tree / "link").symlink_to("news")

    def is_read(path: str) -> bool:
        folder, _, name = f"{tree}/{path}".rpartition("/")
        return any(selection.pattern.selects(states, name) for states in selection.states_in(folder))

    assert is_read("news/new/p.parquet")
    assert is_read("link/new/p.parquet")
    assert not is_read("news/p.parquet")
    assert not is_read("newspaper/new/p.parquet")
    assert not is_read("news/_new/p.parquet")


def names_passed_over(*entries: Path | str) -> list[str]:
    """The last parts of the paths that the listing says it has passed over."""
    found = list_input_files([str(entry) for entry in entries]).passed_over
    return sorted(Path(name).name + ("/" if name.endswith("/") else "") for name in found.names)


class TestNames:
    def test_what_looks_like_input_and_is_none_is_named(self, tree: Path) -> None:
        for name in ("UPPER.PARQUET", "a.parq", "z.parquet.gz", ".a.parquet.crc", "_metadata", "_SUCCESS", "c.pq"):
            (tree / name).touch()
        for name in ("_year=2024", "_delta_log", "_archive", ".git"):
            (tree / name).mkdir()
            (tree / name / "x.parquet").touch()
        expected = [
            ".dot.parquet",
            "UPPER.PARQUET",
            "_archive/",
            "_hidden.parquet",
            "_year=2024/",
            "a.parq",
            "c.pq",
            "z.parquet.gz",
        ]
        assert names_passed_over(tree) == names_passed_over(tree / "**/*.parquet") == expected
        assert names_passed_over(tree, tree / "**") == expected
        assert names_passed_over(tree / "a*.parquet") == ["a.parq"]
        assert names_passed_over(tree / "n*/*/*.parquet") == []
        assert names_passed_over(tree / "a.parquet") == []

    def test_they_are_named_where_there_is_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "UPPER.PARQUET").touch()
        with pytest.raises(InputError, match=r"matches no Parquet file.*passed over: 1 .*UPPER\.PARQUET"):
            listed(tmp_path)
        assert listed(tmp_path / "*.PARQUET") == ["UPPER.PARQUET"]

    def test_names_that_are_not_utf8(self, tree: Path) -> None:
        expected = listed(tree)
        for name in (b"Caf\xe9.txt", b"Caf\xe9.parquet", b"d\xe9/p.parquet"):
            path = os.fsencode(tree) + b"/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb"):
                pass
        found = problems(tree)
        assert [printable(name) for name in found] == ["Caf\\xe9.parquet", "d\\xe9/p.parquet"]
        assert all("not UTF-8" in problem for problem in found.values())
        assert len(listed(tree)) == len(expected) + 2

    def test_names_that_mean_something_elsewhere(self, tmp_path: Path) -> None:
        names = ["100%.parquet", "a#b.parquet", "line\nfeed.parquet", "what?.parquet"]
        for name in names:
            (tmp_path / name).touch()
        assert listed(tmp_path) == listed(tmp_path / "*") == names
        assert [listed(tmp_path / name) for name in names] == [[name] for name in names]

    def test_what_is_no_file_is_listed(self, tree: Path) -> None:
        os.mkfifo(tree / "pipe.parquet")
        assert list(problems(tree)) == list(problems(tree / "pipe.parquet")) == ["pipe.parquet"]

    def test_a_folder_that_may_not_be_listed_is_listed_itself(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scandir = os.scandir

        def refuse(path: str) -> Any:
            if path.endswith("/2024"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert problems(tree) == {
            "news/2024": "the folder cannot be listed: Permission denied; check the permissions"
        }
        with pytest.raises(InputError, match=r"news/2024 cannot be listed: Permission denied"):
            listed(tree / "news/2024")


def test_a_store_is_searched_like_a_folder() -> None:
    store = fsspec.filesystem("memory")
    for name in (*TREE, "UPPER.PARQUET", "_year=2024/p.parquet", "_delta_log/1.checkpoint.parquet"):
        store.pipe_file(f"/listing/{name}", b"")
    try:
        assert (
            listed("memory://listing")
            == listed("memory://listing/**/*.parquet")
            == sorted(
                name
                for name in TREE
                if name.endswith(".parquet") and not any(part[0] in "_." for part in name.split("/"))
            )
        )
        assert listed("memory://listing/news/*/*.parquet") == ["2024/x.parquet", "2025/y.parquet"]
        assert listed("memory://listing/*.parquet") == ["a.parquet", "spark.parquet/part-0.snappy.parquet"]
        assert listed("memory://listing/a.parquet") == ["a.parquet"]
        assert names_passed_over("memory://listing") == [
            ".dot.parquet",
            "UPPER.PARQUET",
            "_hidden.parquet",
            "_year=2024/",
        ]
    finally:
        store.store.clear()

import errno
import os
import re
import subprocess
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

TREE = [
    "a.parquet",
    "b.txt",
    "_hidden.parquet",
    ".dot.parquet",
    "news/2024/x.parquet",
    "news/2025/y.parquet",
    "news/2025/_temporary/z.parquet",
    "news/z[1].parquet",
    "_manifest/m.parquet",
    "spark.parquet/part-0.snappy.parquet",
    "spark.parquet/_SUCCESS",
    "sp ace/ä%20.parquet",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def listed(*entries: Path | str) -> list[str]:
    files = list_input_files([str(entry) for entry in entries]).files
    assert all(file.path.endswith(file.relative_path) for file in files)
    return [file.relative_path for file in files]


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


def problems(*entries: Path | str) -> dict[str, str]:
    """Why files cannot be read, by relative path."""
    files = list_input_files([str(entry) for entry in entries]).files
    return {file.relative_path: file.problem for file in files if file.problem is not None}


class TestLinks:
    def test_a_loop_gives_each_file_once(self, tree: Path) -> None:
        expected = listed(tree)
        (tree / "news/up").symlink_to("..")
        (tree / "news/2024/self").symlink_to(".")
        assert listed(tree) == listed(tree / "**/*.parquet") == expected
        aliases = list_input_files([str(tree)]).passed_over.aliases
        assert aliases == ((f"{tree}/news/2024/self", f"{tree}/news/2024"), (f"{tree}/news/up", str(tree)))

    def test_a_folder_with_two_names_is_read_under_the_one_without_links(self, tree: Path) -> None:
        expected = listed(tree)
        (tree / "a-link").symlink_to("news/2024")
        (tree / "zz").symlink_to(tree / "news")
        assert listed(tree) == expected
        assert len(list_input_files([str(tree)]).passed_over.aliases) == 2

    def test_an_outer_folder_is_read_once_under_the_first_of_its_names(self, tree: Path, tmp_path: Path) -> None:
        (tmp_path / "in/news/2025").rename(tmp_path / "outer")
        for name in ("2025", "latest"):
            (tree / "news" / name).symlink_to(tmp_path / "outer")
        assert listed(tree / "news") == ["2024/x.parquet", "2025/y.parquet", "z[1].parquet"]

    def test_a_glob_takes_the_link_where_it_matches_that_alone(self, tree: Path) -> None:
        (tree / "latest").symlink_to("news/2025")
        assert listed(tree / "lat*") == ["latest/y.parquet"]
        assert listed(tree / "lat*", tree / "news/2025") == ["latest/y.parquet"]
        assert listed(tree / "*/*/*.parquet") == listed(tree / "*/202?/*.parquet") != []

    def test_a_link_to_a_file_of_the_input_is_the_same_file(self, tree: Path, tmp_path: Path) -> None:
        expected = listed(tree)
        (tree / "0.parquet").symlink_to("a.parquet")
        assert listed(tree) == expected
        assert listed(tree / "0.parquet", tree / "a.parquet") == ["a.parquet"]
        assert listed(tree / "0.parquet") == ["0.parquet"]
        (tree / "1.parquet").symlink_to("0.parquet")
        assert listed(tree) == expected
        aliases = list_input_files([str(tree)]).passed_over.aliases
        assert aliases == tuple((f"{tree}/{link}.parquet", f"{tree}/a.parquet") for link in (0, 1))

    def test_links_to_one_file_elsewhere_are_files_of_their_own(self, tree: Path, tmp_path: Path) -> None:
        """Caches name files by content: two files of equal content are links to one."""
        expected = listed(tree)
        (tmp_path / "blob").touch()
        for name in ("p.parquet", "q.parquet"):
            (tree / name).symlink_to(tmp_path / "blob")
        assert set(listed(tree)) - set(expected) == {"p.parquet", "q.parquet"}
        (tree / "latest.parquet").symlink_to("q.parquet")
        assert set(listed(tree)) - set(expected) == {"p.parquet", "q.parquet"}
        assert list_input_files([str(tree)]).passed_over.aliases == (
            (f"{tree}/latest.parquet", f"{tree}/q.parquet"),
        )

    def test_links_that_give_rows_another_value_are_read_too(self, tmp_path: Path) -> None:
        for name in ("en", "de"):
            (tmp_path / f"in/lang={name}").mkdir(parents=True)
        (tmp_path / "in/lang=en/p.parquet").touch()
        (tmp_path / "in/lang=de/p.parquet").symlink_to("../lang=en/p.parquet")
        (tmp_path / "in/lang=de/q.parquet").symlink_to("p.parquet")
        (tmp_path / "in/lang=fr").symlink_to("lang=en")
        (tmp_path / "in/latest").symlink_to("lang=en")
        (tmp_path / "in/lang=en/up").symlink_to("..")
        (tmp_path / "in/lang=de/up").symlink_to("../lang=en/up")
        expected = ["lang=de/p.parquet", "lang=en/p.parquet", "lang=fr/p.parquet", "latest/p.parquet"]
        assert listed(tmp_path / "in") == expected

    def test_hard_links_are_files_of_their_own(self, tree: Path) -> None:
        (tree / "b.parquet").hardlink_to(tree / "a.parquet")
        assert listed(tree / "*.parquet")[:2] == ["a.parquet", "b.parquet"]

    def test_folders_that_all_lead_to_each_other_are_searched_in_no_time(self, tmp_path: Path) -> None:
        for i in range(12):
            (tmp_path / f"{i:02}").mkdir()
            (tmp_path / f"{i:02}/p.parquet").touch()
            for j in range(12):
                (tmp_path / f"{i:02}/to{j}").symlink_to(f"../{j:02}")
        for glob in ("", "**/*.parquet", "*/*/*.parquet", "*/to*/**"):
            assert len(listed(f"{tmp_path}/{glob}")) == 12

    def test_links_that_lead_nowhere_are_listed(self, tree: Path) -> None:
        (tree / "gone.parquet").symlink_to("/nowhere/blob")
        (tree / "news/2026").symlink_to("/nowhere/2026")
        (tree / "self.parquet").symlink_to("self.parquet")
        (tree / "paper.pdf").symlink_to("/nowhere/paper")
        (tree / "_gone.parquet").symlink_to("/nowhere/blob")
        found = problems(tree)
        assert set(found) == {"gone.parquet", "news/2026", "self.parquet"}
        assert "a symbolic link to /nowhere/blob that leads nowhere" in found["gone.parquet"]
        assert list_input_files([str(tree)]).passed_over.broken_links == (f"{tree}/paper.pdf",)
        assert set(problems(tree / "gone.parquet")) == {"gone.parquet"}
        assert set(problems(tree / "**/*.parquet")) == set(found)
        assert set(problems(tree / "*.parquet")) == {"gone.parquet", "self.parquet"}

    def test_a_mount_is_another_name(self, tree: Path) -> None:
        (tree / "zz").mkdir()
        mount = ["mount", "--bind", str(tree / "news"), str(tree / "zz")]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting takes rights")
        try:
            assert not [path for path in listed(tree) if path.startswith("zz")]
        finally:
            subprocess.run(["umount", str(tree / "zz")], check=True)


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

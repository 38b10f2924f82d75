import re
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.input.file_listing import list_input_files
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import resolve_path

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
        ("*.json", "stands for no Parquet file"),
        ("_hidden.parquet", "stands for no Parquet file"),
        ("news/[b-a]*", "is no glob"),
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
    assert selection.relative_path(f"{tree}/news/new/p.parquet") == "new/p.parquet"
    assert selection.relative_path(f"{tree}/news/p.parquet") is None
    assert selection.relative_path(f"{tree}/newspaper/new/p.parquet") is None
    assert selection.relative_path(f"{tree}/news/_new/p.parquet") is None

"""The JSON files of a checkpoint: what is refused before a field is looked at."""

from pathlib import Path

import pytest

from model import CheckpointError
from model.checkpoints import json_files
from model.checkpoints.json_files import read_json_object, shown


def test_an_object_is_returned_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": [1, {"ü": 1e30}], "c": null, "b": 2}', encoding="utf-8")
    assert read_json_object(tmp_path / "a.json") == {"b": 2, "c": None}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not valid JSON"),
        (b'{"a": ', "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"1" * 5000, "is not valid JSON"),
        (b"[]", "must hold a JSON object, found list"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested more than 50 levels deep"),
        (b'{"a": ' + b'{"b": ' * 60 + b"1" + b"}" * 61, "is nested more than 50 levels deep"),
        (b'{"a": ["\\ud800"]}', r"holds '\\ud800', which is not Unicode text"),
        (b'{"\\ud800": 1}', r"holds '\\ud800', which is not Unicode text"),
    ],
)
def test_anything_else_is_refused_by_the_name_of_the_file(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{path} {problem}"):
        read_json_object(path)


def test_a_key_that_is_there_twice_counts_once_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": {"b": 1, "b": 2}}')
    assert read_json_object(path) == {"a": {"b": 2}}
    with pytest.raises(CheckpointError, match="the key 'b' is there twice"):
        read_json_object(path, has_unique_keys=True)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "MAX_BYTES", 10)
    (tmp_path / "a.json").write_text('{"a": 12345}')
    with pytest.raises(CheckpointError, match="has 12 bytes, expected at most 10"):
        read_json_object(tmp_path / "a.json")


def test_values_are_shown_shortened() -> None:
    assert (shown("a"), shown(1.5), shown([1, "b"])) == ("'a'", "1.5", "[1, 'b']")
    assert all(len(shown(value)) < 200 for value in ("x" * 10_000, 10**4000, ["x" * 100] * 100, {"a": ["b"] * 99}))

"""Inputs in the copy of the working directory that each `ray job submit` makes anew."""

import json
import os
from pathlib import Path

import pytest

from pipeline.input.file_listing import list_input_files
from tests.integration.output_runs import run_once
from tests.unit.pipeline.input_files import rows, write

CONFIG = json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_0.zip"}})


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy, in which the job runs."""
    folder = tmp_path / "runtime_resources/working_dir_files/_ray_pkg_0"
    write(folder / "in/a.parquet", rows(25))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", CONFIG)
    return folder


def unpack_again(folder: Path) -> None:
    """Give each file another time."""
    for path in folder.rglob("*.parquet"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


@pytest.mark.usefixtures("copy")
def test_what_was_only_unpacked_again_has_not_changed(copy: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    assert run_once("in", output)
    unpack_again(copy)
    assert run_once("in", output, on_part=lambda: pytest.fail("written"))
    write(copy / "in/a.parquet", rows(25, first=1))
    num_parts: list[int] = []
    assert run_once("in", output, on_part=lambda: num_parts.append(1))
    assert len(num_parts) == 3


def test_a_new_time_counts_everywhere_else(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "elsewhere/b.parquet", rows(5))
    (copy / "in/link.parquet").symlink_to(tmp_path / "elsewhere/b.parquet")
    times = {file.relative_path: file.mtime_ns for file in list_input_files(["in"]).files}
    assert times == {"a.parquet": None, "link.parquet": (tmp_path / "elsewhere/b.parquet").stat().st_mtime_ns}
    [file] = list_input_files([str(tmp_path / "elsewhere")]).files
    assert file.mtime_ns is not None
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR")
    assert all(file.mtime_ns is not None for file in list_input_files(["in"]).files)

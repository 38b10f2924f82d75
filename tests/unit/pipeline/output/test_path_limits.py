import os
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.fragments import Cut
from pipeline.input.fragment_table import FileCuts, FragmentTable, PlannedFile
from pipeline.output.output_folder import OutputFolder
from pipeline.output.path_limits import require_fitting_names, require_fitting_root


def table(relative_path: str, num_parts: int = 1) -> FragmentTable:
    file = PlannedFile(f"/in/{relative_path}", relative_path, 9, "0123abcd", "")
    return FragmentTable([(file, FileCuts.of([Cut((i,), 0, i, 1, 1) for i in range(num_parts)]))])


def local(root: Path) -> OutputFolder:
    return OutputFolder(fs.LocalFileSystem(), str(root))


def store(root: str) -> OutputFolder:
    return OutputFolder(fs.S3FileSystem(region="eu-west-1", anonymous=True), root)


def test_names_are_shortened_and_folders_are_refused(tmp_path: Path) -> None:
    require_fitting_names(local(tmp_path / "out"), table(f"x/{'w' * 2000}.parquet"))
    require_fitting_names(local(tmp_path / "out"), table(f"{'d' * 255}/a.parquet"))
    with pytest.raises(
        InputError, match=r"for the input d+/a\.parquet, the name d+\.\.\. has 256 bytes, expected at most 255"
    ):
        require_fitting_names(local(tmp_path / "out"), table(f"{'d' * 256}/a.parquet"))
    with pytest.raises(InputError, match="expected at most 255"):
        require_fitting_names(local(tmp_path / "out"), table(f"{'d' * 256}/a.parquet", num_parts=0))


def test_paths_are_refused_that_are_too_long_with_the_longest_name_of_a_run(tmp_path: Path) -> None:
    output = local(tmp_path / "out")
    longest = f"{output.root}/_restart/_manifest/failed/.0123abcd.00000-of-00001.parquet.json"
    fitting = 4095 - len(longest)
    path = "/".join(["d" * 99] * (fitting // 100)) + "/" + "w" * (fitting % 100)
    require_fitting_names(output, table(f"{path}.parquet"))
    with pytest.raises(InputError, match="has 4096 bytes, expected at most 4095"):
        require_fitting_names(output, table(f"{path}w.parquet"))


def test_a_file_system_with_shorter_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"PC_NAME_MAX": 143, "PC_PATH_MAX": 4096}
    monkeypatch.setattr(os, "pathconf", lambda path, name: limits[name])
    require_fitting_names(local(tmp_path), table(f"{'w' * 104}.parquet"))
    with pytest.raises(InputError, match="expected at most 143"):
        require_fitting_names(local(tmp_path), table(f"{'w' * 105}.parquet"))


def test_keys_of_stores() -> None:
    folder = "/".join(["d" * 99] * 9)
    require_fitting_names(store("bucket/out"), table(f"{folder}/a.parquet"))
    with pytest.raises(InputError, match=r"has 10\d\d bytes, expected at most 1024"):
        require_fitting_names(store("bucket/out"), table(f"{folder}/{'w' * 60}.parquet"))
    require_fitting_names(store("bucket"), table(f"{'d' * 400}/a.parquet"))


def test_an_output_path_that_is_too_long(tmp_path: Path) -> None:
    require_fitting_root(local(tmp_path / ("d" * 255)))
    with pytest.raises(InputError, match=r"output\.path: the name d+\.\.\. has 256 bytes, expected at most 255"):
        require_fitting_root(local(tmp_path / ("d" * 256)))
    with pytest.raises(InputError, match=r"the path .* has \d+ bytes, expected at most 4095"):
        require_fitting_root(local(tmp_path / "/".join(["d" * 99] * 41)))
    with pytest.raises(InputError, match="expected at most 1024"):
        require_fitting_root(store(f"bucket/{'d' * 1020}"))

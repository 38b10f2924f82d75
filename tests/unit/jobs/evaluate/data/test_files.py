"""Layouts of files, and what is refused."""

from pathlib import Path

import pytest

from jobs.evaluate.data.files import DataFile, DataFiles, files_of_split
from pipeline.errors import InputError
from tests.unit.jobs.evaluate.hub_files import write

ROWS = {"text": ["a"]}


def listed(folder: Path, *names: str) -> DataFiles:
    for name in names:
        write(folder / name, ROWS)
    return DataFiles.open(str(folder))


@pytest.mark.parametrize(
    ("relative", "config", "depth", "split", "shard", "num_shards"),
    [
        ("de/test-00000-of-00001.parquet", "de", 1, "test", 0, 1),
        ("de/test-00001-of-00003.parquet", "de", 1, "test", 1, 3),
        ("de/test-00000-of-00001-0123456789abcdef.parquet", "de", 1, "test", 0, 1),
        ("mlqa.de.de/validation-00000-of-00001.parquet", "mlqa.de.de", 1, "validation", 0, 1),
        ("de/test.parquet", "de", 1, "test", 0, 1),
        ("de/test/0002.parquet", "de", 1, "test", 2, None),
        ("default/test/0000.parquet", "root", 0, "test", 0, None),
        ("data/test-00000-of-00001.parquet", "root", 0, "test", 0, 1),
        ("data/de/test-00000-of-00001.parquet", "de", 1, "test", 0, 1),
        ("de/data/test-00000-of-00001.parquet", "de", 1, "test", 0, 1),
        ("test-00000-of-00001.parquet", "root", 0, "test", 0, 1),
        ("mnli/validation_matched.parquet", "mnli", 1, "validation_matched", 0, 1),
        ("x/de/test.parquet", "de", 2, "test", 0, 1),
    ],
)
def test_paths_name_configuration_split_and_shard(
    relative: str, config: str, depth: int, split: str, shard: int, num_shards: int | None
) -> None:
    file = DataFile.of_path(f"/data/root/{relative}", "/data/root", relative)
    assert (file.config, file.depth, file.split) == (config, depth, split)
    assert (file.shard, file.num_shards) == (shard, num_shards)


def test_files_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    files = listed(tmp_path, "fr/test.parquet", "de/test.parquet", "_old/test.parquet", ".x/test.parquet")
    assert [file.name for file in files.files] == ["de/test.parquet", "fr/test.parquet"]


def test_shards_in_order(tmp_path: Path) -> None:
    names = [f"de/test-{shard:05}-of-00003.parquet" for shard in (2, 0, 1)]
    files = listed(tmp_path, *names, "de/validation-00000-of-00001.parquet")
    assert [file.shard for file in files_of_split(files.of_config(["de"]), "test")] == [0, 1, 2]
    assert files_of_split(files.of_config(["de"]), "train") == []


def test_folder_of_one_configuration(tmp_path: Path) -> None:
    listed(tmp_path, "xnli/de/test.parquet")
    alone = DataFiles.open(str(tmp_path / "xnli" / "de"))
    assert len(alone.of_config(["DE"])) == len(alone.at_top) == 1
    one = DataFiles.open(str(tmp_path / "xnli" / "de" / "test.parquet"))
    assert len(one.of_config(["de"])) == 1


def test_files_two_folders_down_are_of_no_configuration(tmp_path: Path) -> None:
    assert listed(tmp_path, "xnli/de/test.parquet").of_config(["de"]) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["de/test-00000-of-00003.parquet", "de/test-00001-of-00003.parquet"],
            "expected shards 0 to 2, each once",
        ),
        (
            ["de/test-00000-of-00002.parquet", "de/validation-00001-of-00002.parquet"],
            "expected shards 0 to 1, each once",
        ),
        (["de/test-00001-of-00001.parquet"], "expected shards 0 to 0, each once"),
        (["de/test/0000.parquet", "de/test/0002.parquet"], "expected shards 0 to 2, each once"),
        (["de/test-00000-of-00001.parquet", "de/test-00000-of-00002.parquet"], "several exports of one split"),
        (["de/test-00000-of-00001.parquet", "de/test.parquet"], "several exports of one split"),
        (["de/test.parquet", "data/de/test.parquet"], "expected it in one folder"),
    ],
)
def test_splits_in_part_or_twice_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    files = listed(tmp_path, *names)
    with pytest.raises(InputError, match=f"--data: found .*{message}.*; (fetch|keep|name)"):
        files_of_split(files.of_config(["de"]), "test")


def test_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--data: .* matches no Parquet file; check the path"):
        DataFiles.open(str(tmp_path))
    with pytest.raises(InputError, match=r"--data: .* does not exist; check the path"):
        DataFiles.open(str(tmp_path / "absent"))


def test_broken_link_is_refused(tmp_path: Path) -> None:
    listed(tmp_path, "fr/test.parquet")
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "test.parquet").symlink_to(tmp_path / "blobs" / "1")
    files = DataFiles.open(str(tmp_path))
    with pytest.raises(InputError, match=r"--data: de/test.parquet cannot be read: .*leads nowhere"):
        files_of_split(files.of_config(["de"]), "test")

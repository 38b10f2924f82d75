"""Subsets and splits that are wanted, and those that are there."""

from pathlib import Path

import pytest

from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders, choose_split, folder_names
from pipeline.errors import InputError
from tests.unit.jobs.evaluate.benchmarks.reading import task_of
from tests.unit.jobs.evaluate.hub_files import write

FOLDERS = SubsetFolders("xquad", folder_names(("en", "de", "th"), "xquad.{}", "{}"))


def listed(folder: Path, *names: str) -> DataFiles:
    for name in names:
        write(folder / name, {"x": [1]})
    return DataFiles.open(str(folder))


def found(files: DataFiles, split: str, wanted: list[str] | None = None) -> dict[str, list[str]]:
    return {subset: [f.name for f in chosen] for subset, chosen in FOLDERS.find(files, split, wanted).items()}


def test_subsets_that_are_there_in_their_order(tmp_path: Path) -> None:
    files = listed(tmp_path, "de/test.parquet", "xquad.en/test.parquet", "XQuAD.th/validation.parquet")
    assert found(files, "test") == {"en": ["xquad.en/test.parquet"], "de": ["de/test.parquet"]}
    assert found(files, "test", ["de"]) == {"de": ["de/test.parquet"]}
    assert list(found(files, "validation")) == ["th"]
    assert FOLDERS.splits(files) == ("test", "validation")


def test_splits_with_the_subset_after_a_point(tmp_path: Path) -> None:
    files = listed(tmp_path, "test.de-00000-of-00001.parquet", "test.en-00000-of-00001.parquet", "train.parquet")
    assert list(found(files, "test")) == ["en", "de"]
    assert FOLDERS.splits(files) == ("test",)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            ["de", "xx"],
            r"--languages: found 'xx', which xquad does not have; expected some of en, de, th; leave it",
        ),
        (
            ["de", "th"],
            r"--languages: found 'th', of which --data .* has no split 'test'; expected .*: en, de; leave",
        ),
    ],
)
def test_wanted_subsets_that_are_not_there_are_refused(tmp_path: Path, wanted: list[str], message: str) -> None:
    files = listed(tmp_path, "de/test.parquet", "en/test.parquet", "th/train.parquet")
    with pytest.raises(InputError, match=message):
        FOLDERS.find(files, "test", wanted)


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    files = listed(tmp_path, "a/b/de/test.parquet")
    with pytest.raises(InputError) as error:
        FOLDERS.find(files, "test", None)
    assert str(error.value) == (
        f"--data: {tmp_path} has no files of split 'test' where they are expected: found a/b/de/test.parquet; "
        "expected, for example, xquad.en/test-00000-of-00001.parquet; name the folder of the benchmark, or "
        "another split"
    )


def test_split_by_default_and_by_name(tmp_path: Path) -> None:
    task = task_of("xcopa")
    files = listed(tmp_path, "de/test.parquet", "et/validation.parquet", "et/train.parquet")
    assert choose_split(task, files, None) == "validation"
    assert choose_split(task, files, "train") == "train"
    with pytest.raises(InputError, match=r"--split: found dev, .*; expected one of train, validation; name one"):
        choose_split(task, files, "dev")
    only_train = listed(tmp_path / "alone", "et/train.parquet")
    with pytest.raises(
        InputError, match=r"--split: found test or validation, .*; expected one of train; name one"
    ):
        choose_split(task, only_train, None)

import pytest
from pyarrow import fs

from pipeline.output.output_folder import OutputFolder, hidden_path, shown_path, staged_path

ENDING = ".0123abcd.00000-of-00001.parquet"
FOLDER = OutputFolder(fs.LocalFileSystem(), "/out")


@pytest.mark.parametrize("size", [1, 216, 217, 218])
def test_hidden_paths_fit_and_tell_the_part(size: int) -> None:
    part_path = f"{'d' * 255}/{'w' * size}{ENDING}"
    hidden = hidden_path(part_path)
    assert shown_path(hidden) == part_path
    assert hidden.endswith(".staged")
    assert len(hidden.rpartition("/")[2]) <= 255
    assert (hidden == f"{part_path}.staged") == (size <= 216)
    assert staged_path(part_path) == f"_staged/{hidden}"


def test_parts_in_place() -> None:
    part_path = f"x/a{ENDING}"
    for folder in (FOLDER, FOLDER.restarted):
        assert folder.part_in_place(folder.path_in_place(part_path)) == part_path
        assert folder.part_in_place(f"_manifest/{part_path}") is None
    assert FOLDER.restarted.part_in_place(part_path) is None

from pathlib import Path

import pytest
from pyarrow import fs

from jobs.annotate.verification import print_verification
from pipeline.errors import InputError
from pipeline.monitoring.messages import Messages
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import finish_part
from pipeline.output.verify import Difference, verify_output
from tests.unit.pipeline.stages.test_write import FRAGMENT


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    folder = OutputFolder(fs.LocalFileSystem(), str(tmp_path / "out"))
    Manifest(folder).begin({"model": "a"})
    finish_part(folder, FRAGMENT, b"part", staged_inputs=(), num_errors=0, num_tokens=1)
    return folder


def test_parts_as_they_were_written(folder: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify_output(folder)
    assert (found.num_parts, found.num_bytes, found.differences) == (1, 4, ())
    assert print_verification(folder.root, Messages()) == 0
    assert capsys.readouterr().out.startswith("verified: 1 part of 4 bytes in ")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"trap", "its bytes are not those that were recorded"),
        (b"part and more", "found 13 bytes, expected 4 as recorded"),
        (None, "it is not there"),
    ],
)
def test_what_differs_is_said(
    folder: OutputFolder, data: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(folder.root) / FRAGMENT.part_path
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert verify_output(folder).differences == (Difference(FRAGMENT.part_path, reason),)
    assert print_verification(folder.root, Messages()) == 3
    captured = capsys.readouterr()
    assert f"differs: {FRAGMENT.part_path}: {reason}\n" in captured.err
    assert "delete what differs, then run the job again" in captured.err


def test_a_part_without_a_record(folder: OutputFolder) -> None:
    folder.delete(f"_manifest/parts/{FRAGMENT.part_path}.json")
    [difference] = verify_output(folder).differences
    assert difference.reason == "it has no record that can be read"


def test_there_has_to_be_an_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"output\.path: found no output in .*, expected one to verify"):
        print_verification(str(tmp_path), Messages())

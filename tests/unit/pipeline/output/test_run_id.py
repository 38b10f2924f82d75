import re
from pathlib import Path

import pytest

from pipeline.output.output_folder import OutputFolder
from pipeline.output.run_id import run_id
from pipeline.storage.locations import resolve_path


def folder(path: Path | str) -> OutputFolder:
    return OutputFolder(*resolve_path(str(path), "output.path"))


def test_a_run_is_told_from_others(tmp_path: Path) -> None:
    one = run_id(folder(tmp_path / "out"), {"code": "1"})
    assert re.fullmatch(r"out-[0-9a-f]{8}", one)
    assert one == run_id(folder(f"{tmp_path}/out/"), {"code": "1"})
    others = {
        run_id(folder(tmp_path / "out"), {"code": "2"}),
        run_id(folder(tmp_path / "a" / "out"), {"code": "1"}),
    }
    assert len(others - {one}) == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Nächte & Tage", "N-chte-Tage"),
        ("date=2026-12-01", "date-2026-12-01"),
        ("x" * 100, "x" * 40),
        ("s3://AKIA:secret@bucket/v1.2?region=r", "v1.2"),
    ],
)
def test_it_holds_only_what_tags_and_file_names_take(name: str, shown: str, tmp_path: Path) -> None:
    found = run_id(folder(name if "://" in name else tmp_path / name), {})
    assert re.fullmatch(rf"{re.escape(shown)}-[0-9a-f]{{8}}", found)

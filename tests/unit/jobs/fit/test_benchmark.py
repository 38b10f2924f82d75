"""The benchmark of fitting, small."""

import json
from pathlib import Path

from jobs.fit.benchmark import main


def test_one_linear_head_is_measured(tmp_path: Path) -> None:
    arguments = [
        "--rows",
        "600",
        "--size",
        "16",
        "--scratch",
        str(tmp_path),
        "--json",
        str(tmp_path / "found.json"),
    ]
    assert main(arguments) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["rows"], found["heads_tried"], found["kept"]) == (600, 1, "linear on layer 0")
    assert found["seconds"] > 0
    assert found["peak_memory_gib"] > 0
    assert found["accuracy"] > 0.4
    assert [file.name for file in tmp_path.iterdir()] == ["found.json"]

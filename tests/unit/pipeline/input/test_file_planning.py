import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import sleep

import pytest
from pyarrow import fs

from pipeline.errors import JobError
from pipeline.input import file_planning
from pipeline.input.file_planning import plan_files
from pipeline.input.file_plans import FilePlan, Planner
from pipeline.input.found_files import InputFile
from pipeline.input.planner_process import Entry, Outcome
from pipeline.input.read_columns import ReadColumns
from tests.unit.pipeline.input.parquet_damage import flip_footer_bit
from tests.unit.pipeline.input_files import rows, write

COLUMNS = ReadColumns({"text": "input.text"}, None, None)


class FaultyPlanner(Planner):
    """A planner that some files, by their names, end or stop."""

    def plan(self, file: InputFile, partition: Mapping[str, str | None]) -> FilePlan:
        if "killer" in file.path:
            signal.raise_signal(signal.SIGKILL)
        if "stopper" in file.path:
            sleep(1000)
        return super().plan(file, partition)


def planned(paths: list[Path], planner: type[Planner] = Planner) -> list[Outcome]:
    files = [InputFile(str(path), path.name, path.name) for path in paths]
    entries = [Entry(number, file, {}) for number, file in enumerate(files)]
    return plan_files(planner(fs.LocalFileSystem(), COLUMNS, 2048, 2**23), entries)


def test_a_footer_that_aborts_arrow_costs_its_own_file(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number:02}.parquet", rows(50)) for number in range(40)]
    for damaged in (paths[7], paths[30]):
        flip_footer_bit(damaged, byte=19)
    outcomes = planned(paths)
    assert [path.name for path, outcome in zip(paths, outcomes, strict=True) if isinstance(outcome, str)] == [
        "07.parquet",
        "30.parquet",
    ]
    assert outcomes[7] == "damaged footer: the process that read it died (SIGABRT); restore the file"


def test_files_that_kill_or_stop_the_process_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_planning, "SILENCE_S", 5.0)
    monkeypatch.setattr(file_planning, "SHORT_SILENCE_S", 5.0)
    names = ["a", "stopper", "b", "killer", "c", "d"]
    outcomes = planned([write(tmp_path / f"{name}.parquet", rows(3)) for name in names], FaultyPlanner)
    reasons = {name: outcome for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, str)}
    assert reasons.keys() == {"stopper", "killer"}
    assert "stood still" in reasons["stopper"]
    assert "died (SIGKILL)" in reasons["killer"]


def test_a_process_that_does_not_start_is_no_fault_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_planning, "_COMMAND", "raise SystemExit('no such module')")
    with pytest.raises(JobError, match=r"does not start \(exit code 1\): no such module"):
        planned([write(tmp_path / "a.parquet", rows(3))])


def test_no_process_is_left(tmp_path: Path) -> None:
    planned([write(tmp_path / "a.parquet", rows(3))])
    found = subprocess.run(["ps", "--ppid", str(file_planning.os.getpid())], capture_output=True, check=False)
    assert b"planner_process" not in found.stdout


def test_it_imports_little() -> None:
    code = "import sys, pipeline.input.planner_process; print({'pydantic', 'ray', 'torch'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "set()\n"


def test_columns_are_sent_once(tmp_path: Path) -> None:
    planner = Planner(fs.LocalFileSystem(), COLUMNS, 2048, 2**23)
    paths = [write(tmp_path / f"{number}.parquet", rows(3)) for number in range(3)]
    files = [InputFile(str(path), path.name, path.name) for path in paths]
    outcomes = plan_files(planner, [Entry(number, file, {}) for number, file in enumerate(files)])
    [columns] = planner.file_columns
    assert all(isinstance(outcome, FilePlan) and outcome.columns == columns for outcome in outcomes)

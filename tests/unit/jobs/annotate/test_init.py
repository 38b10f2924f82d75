"""`python -m jobs.annotate --init`: the job that it writes is valid, and can be planned."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.annotate.command import main
from pipeline.config.job import JobConfig, load_job_config
from tests.unit.jobs.annotate.test_command import MODEL
from tests.unit.pipeline.input_files import rows, write


def initialized(root: Path, path: Path | str, capsys: pytest.CaptureFixture[str]) -> tuple[str, JobConfig]:
    """The job file that is printed, and what it says."""
    assert main(["--init", str(path)]) == 0
    text, messages = capsys.readouterr()
    assert messages == ""
    (root / "job.toml").write_text(text, encoding="utf-8")
    return text, load_job_config(root / "job.toml")


def planned(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Its plan, with a model."""
    options = [f"--set=model.path={MODEL}", f"--set=output.path={root}/annotated"]
    assert main([str(root / "job.toml"), "--plan", *options]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_the_longest_strings_are_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(9).rename_columns(["id", "lang", "story"])
    table = table.append_column("day", pa.array(["2026"] * 9).dictionary_encode())
    text, job = initialized(tmp_path, write(tmp_path / "in.parquet", table), capsys)
    assert job.input.text == "story"
    assert job.input.path == (f"{tmp_path}/in.parquet",)
    assert job.input.columns is None
    assert "# Guessed: of the columns of strings this one has the longest values, on average over 9 rows\n" in text
    assert text.index("#   story: 8 characters") < text.index("#   lang: 2 characters")
    assert '# columns = ["id", "lang", "story", "day"]\n' in text
    assert all(len(line) <= 120 for line in text.splitlines() if str(tmp_path) not in line)
    assert "9, 9 to do" in planned(tmp_path, capsys)


@pytest.mark.parametrize("name", ["text", "Body", "doc.content"])
def test_a_likely_name_counts_for_more(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long, short = pa.array(["x" * 90] * 9), pa.array(["y" * 10] * 9)
    column, _, field = name.rpartition(".")
    table = pa.table(
        {"url": long, **({column: pa.array([{field: v} for v in short.to_pylist()])} if column else {name: short})}
    )
    _, job = initialized(tmp_path, write(tmp_path / "in.parquet", table), capsys)
    assert job.input.text == name
    planned(tmp_path, capsys)


def test_columns_that_the_output_cannot_have_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["text", "error", "Vector", "id", "ID", "a\nb"]
    table = pa.table({name: pa.array(["some text"] * 3) for name in names})
    text, job = initialized(tmp_path, write(tmp_path / "in.parquet", table), capsys)
    assert job.input.columns == ("text", "Vector", "id", "a\nb")
    assert list(job.heads) == ["vector_2"]
    assert "# Left out, as the output cannot have them: error, ID\n" in text
    planned(tmp_path, capsys)


@pytest.mark.parametrize("path", ["in", "in/**/*.parquet", "."])
def test_folders_and_globs(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    write(work / "in" / "lang=de" / "a.parquet", rows(3))
    (work / "in" / "0.parquet").write_text("no Parquet")
    monkeypatch.chdir(work)
    _, job = initialized(work, path, capsys)
    assert job.input.path == (path,)
    assert job.output.path == (f"{work}-annotated" if path == "." else "annotated")
    assert main(["job.toml", "--plan", f"--set=model.path={MODEL}"]) == 0
    assert "3, 3 to do" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["$HOME.parquet", "~a.parquet", 'a "b".parquet', "ä[1].parquet"])
def test_any_name_is_written_so_that_it_is_read_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name, rows(3))
    _, job = initialized(tmp_path, name, capsys)
    assert os.path.samefile(job.input.path[0], tmp_path / name)


def test_a_file_without_rows_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, job = initialized(tmp_path, write(tmp_path / "in.parquet", rows(0)), capsys)
    assert job.input.text == "text"


def test_it_is_written_to_a_new_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, job = write(tmp_path / "in.parquet", rows(3)), tmp_path / "new.toml"
    arguments = ["--init", str(path), "--init-output", str(job)]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    before = job.read_bytes()
    assert load_job_config(job).input.text == "text"
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"refused: --init-output: {job} cannot be written: File exists; expected a new file in a writable folder; "
        "choose another\n"
    )
    assert job.read_bytes() == before


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"id": [1]}), "--init: {path} has no column of strings, found id: int64; name another file"),
        (None, "--init: {path} does not exist; check the path"),
    ],
)
def test_what_has_no_text_is_refused(
    table: Any, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.parquet"
    if table is not None:
        write(path, table)
    assert main(["--init", str(path)]) == 2
    assert capsys.readouterr() == ("", f"refused: {reason.format(path=path)}\n")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], "nothing"),
        (["job.toml", "--init", "x"], "JOB.toml and --init"),
        (["--init-output", "x"], "--init-output"),
    ],
)
def test_a_job_is_read_or_written(arguments: list[str], found: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert f"refused: JOB.toml: found {found}, expected a job file, or --init " in capsys.readouterr().err

"""What the demo prints, and what it checks before."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from jobs.demo.checks import disk_problem, memory_problem, port_problem, python_problem
from jobs.demo.run import write_jobs
from jobs.demo.show import accuracy_line, nearest_line, print_output, throughput_line
from pipeline.config.job import load_job_config

ROOT = Path(__file__).resolve().parents[4]


def row(name: str, lang: str | None, text: str | None, **values: Any) -> dict[str, Any]:
    """A row of the output; `language` as it was found."""
    language = values.get("language", lang)
    return {
        "id": name,
        "lang": lang,
        "text": text,
        "language": None if language is None else {"label": language, "score": 0.987},
        "tags": None if lang is None else [{"entity": "NOUN"}, {"entity": "PUNCT"}],
        "loss": None if lang is None else {"loss": 3.456},
        "vector": None if lang is None else values["vector"],
        "num_tokens": 7,
        "error": "column 'text' is null, expected text" if lang is None else None,
    }


ROWS = [
    row("en-01", "en", "The [red] bus.", vector=[1.0, 0.0]),
    row("de-01", "de", "Der rote Bus.", vector=[0.8, 0.6]),
    row("es-02", "es", "El autobús rojo.", vector=[0.6, 0.8], language="pt"),
    row("broken-01", None, None),
]
BY_ID = {entry["id"]: entry for entry in ROWS}


def test_the_table() -> None:
    console = Console(width=110, record=True, highlight=False, file=io.StringIO())
    print_output(console, pa.Table.from_pylist(ROWS))
    text = console.export_text()
    assert "The [red] bus." in text
    assert "NOUN PUNCT" in text
    assert "pt 0.99" in text
    assert "3.46" in text
    assert "column 'text' is null" in text
    assert all(len(line) <= 110 for line in text.splitlines())


def test_languages_are_no_markup() -> None:
    rows = {name: {**entry, "lang": f"[{entry['lang']}]"} for name, entry in BY_ID.items()}
    console = Console(width=200, record=True, highlight=False, file=io.StringIO())
    console.print(nearest_line(rows))
    assert "Der rote Bus. ([de]) | El autobús rojo. ([es])" in console.export_text()


def test_the_lines() -> None:
    assert "[bold]2 of 3[/] texts (66.7%) in 3 languages; 1 row " in accuracy_line(BY_ID)
    assert "cosine 0.96: Der rote Bus. (de) | El autobús rojo. (es)" in nearest_line(BY_ID)
    assert throughput_line(12_000, 20.0).endswith(": 600 tokens/s")


def test_the_job_has_the_paths_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, xl_file = write_jobs(Path("demo"))
    assert set(load_job_config(xl_file, []).heads) == {"loss", "vector"}
    job = load_job_config(file, [])
    assert job.model.path == str(ROOT / "jobs/demo/model")
    assert job.input.path == (str(ROOT / "jobs/demo/sample.parquet"),)
    assert job.output.path == "demo/annotated"
    file.write_text(file.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    assert write_jobs(Path("demo"))[0].read_text(encoding="utf-8").endswith("# mine\n")


def test_the_job_in_the_repository_can_be_run_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert load_job_config(ROOT / "jobs/demo/job.toml", []).model.path == "jobs/demo/model"


def test_this_machine_can_run_the_demo(tmp_path: Path) -> None:
    assert [python_problem(), disk_problem(tmp_path / "a/b"), port_problem(), memory_problem()] == [""] * 4


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 15)])
def test_another_python(version: tuple[int, int]) -> None:
    found = "{}.{}".format(*version)
    assert python_problem(version) == (
        f"Python 3.11 to 3.14 is needed, found {found}; try: make PYTHON=python3.12 demo"
    )


def test_the_checks_need_no_package() -> None:
    code = "import sys; import jobs.demo.__main__; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "jobs.demo.checks" in loaded
    assert not {"torch", "ray", "pyarrow", "rich", "numpy"} & set(loaded)

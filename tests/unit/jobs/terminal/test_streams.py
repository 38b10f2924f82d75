"""No command fails for a character that its output cannot hold."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.terminal.streams import accept_any_text

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_written_as_escapes(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding=encoding, errors="strict"))
    accept_any_text()
    print("ж \udcff", flush=True)
    print("ж \udcff", file=sys.stderr, flush=True)
    expected = b"\\u0436 \\udcff\n" if encoding != "utf-8" else "ж \\udcff\n".encode()
    assert {stream.getvalue() for stream in written.values()} == {expected}


def test_a_stream_of_another_kind_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    accept_any_text()
    print("ж")
    assert sys.stdout.getvalue() == "ж\n"


def test_commands_in_an_ascii_locale(tmp_path: Path) -> None:
    """All of them in one process, as each takes seconds to load: help, a plan and a refusal with other letters."""
    (tmp_path / "ä").mkdir()
    job = tmp_path / "job.toml"
    job.write_text(
        f"""
        [model]
        path = "{ROOT}/jobs/demo/model"
        [input]
        path = "{ROOT}/jobs/demo/sample.parquet"
        [output]
        path = "{tmp_path}/ö"
        [heads."тема"]
        task = "text-classification"
        """,
        encoding="utf-8",
    )
    program = f"""
from jobs.annotate.command import main as annotate
from jobs.compare.command import main as compare
from jobs.convert.command import main as convert
print(annotate([{str(job)!r}, "--plan"]))
print(annotate([{str(job)!r}, "--plan", "--set", "input.text=текст"]))
print(annotate([{str(tmp_path)!r} + "/нет.toml"]))
print(compare([{str(tmp_path)!r} + "/ä", {str(tmp_path)!r} + "/ö"]))
print(convert([{str(tmp_path)!r} + "/ä", {str(tmp_path)!r} + "/ö"]))
for main in (annotate, compare, convert):
    try:
        main(["--help"])
    except SystemExit as end:
        print(end.code)
"""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.decode().splitlines() if line.isdigit()]
    assert codes == ["0", "2", "2", "2", "2", "0", "0", "0"]
    assert len(done.stderr.splitlines()) == 4, done.stderr
    assert "тема" in done.stdout.decode("unicode-escape")


@pytest.mark.parametrize("flags", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_leaves_ends_nothing(stream: str, flags: list[str]) -> None:
    program = f"""
import sys
from jobs.terminal.leaving import leave_quickly
from jobs.terminal.streams import accept_any_text
accept_any_text()
for number in range(10_000):
    print("line", number, file=sys.{stream})
print("done", file=sys.{"stderr" if stream == "stdout" else "stdout"})
leave_quickly(3)
sys.exit(3)
"""
    process = subprocess.Popen(
        [sys.executable, *flags, "-c", program],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    left, other = (process.stdout, process.stderr) if stream == "stdout" else (process.stderr, process.stdout)
    with process:
        assert left.readline() == "line 0\n"
        left.close()
        assert other.read() == "done\n"
    assert process.returncode == 3

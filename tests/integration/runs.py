"""The job as users run it: a process of its own, whose exit code, messages and files are looked at."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.processes import Process, descendants, environment

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 240.0
ANNOTATE = ("-m", "jobs.annotate")


@dataclass(frozen=True)
class Finished:
    """What a run left behind."""

    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Run:
    """A running `python -m jobs.annotate`."""

    def __init__(self, process: "subprocess.Popen[bytes]", logs: Path) -> None:
        self.process = process
        self._logs = logs
        self.seen: set[Process] = set()
        """Processes below it, as of the times that `look` was called."""

    def look(self) -> list[Process]:
        """The processes below it now."""
        found = descendants(self.process.pid)
        self.seen.update(found)
        return found

    def finish(self) -> Finished:
        """Wait for the end."""
        code = self.process.wait(TIMEOUT_S)
        return Finished(code, *(self._read(name) for name in ("stdout", "stderr")))

    def _read(self, name: str) -> str:
        return (self._logs / name).read_text(encoding="utf-8", errors="replace")


@contextmanager
def started(
    job_file: Path, *options: str, logs: Path, program: Sequence[str] = ANNOTATE, checkout: Path = ROOT
) -> Iterator[Run]:
    """Start a run of the packages in `checkout`; at the end of the block nothing of it is left."""
    # Only a cluster that Ray finds by itself has it use the token by itself.
    settings = {"RAY_AUTH_MODE": "token"} | ({"PYTHONPATH": str(checkout)} if checkout != ROOT else {})
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *program, str(job_file), *options]
    with (logs / "stdout").open("wb") as stdout, (logs / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=checkout, env=environment(**settings), stdout=stdout, stderr=stderr
        )
    run = Run(process, logs)
    try:
        yield run
    finally:
        left_over = {*run.look(), *run.seen} if process.poll() is None else run.seen
        process.kill()
        process.wait()
        for other in left_over:
            other.kill()


def annotate(
    job_file: Path, *options: str, logs: Path, program: Sequence[str] = ANNOTATE, checkout: Path = ROOT
) -> Finished:
    """Run a job to its end."""
    with started(job_file, *options, logs=logs, program=program, checkout=checkout) as run:
        return run.finish()


def parts(output: Path) -> dict[str, bytes]:
    """Every part, by its path below the output."""
    found = sorted(path for path in output.rglob("*.parquet"))
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


def rows_of(output: Path, stem: str) -> pa.Table:
    """The rows of one input file, from its parts in their order."""
    return pa.concat_tables(
        [pq.ParquetFile(path).read() for path in sorted(output.glob(f"{stem}.*-of-*.parquet"))]
    )

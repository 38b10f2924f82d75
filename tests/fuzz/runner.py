"""Check mutated files in a forked process, which may crash, hang or run out of memory: each is a violation.

`python -m tests.fuzz.runner FORMAT ... --seeds 0:1000` runs some by hand; a violation is run again alone by its
format and seed.
"""

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from tests.fuzz.outcome import Refused

FORMATS = (
    "config_json",
    "tokenizer_files",
    "index_json",
    "safetensors_file",
    "torch_file",
    "fairseq_file",
    "comet_file",
    "sentencepiece_model",
    "job_toml",
    "output_folder",
)
MAX_CPU_S = 5.0
MAX_WALL_S = 120.0
MAX_MORE_BYTES = 2**30
"""Address space that a check may take beyond that of the process when it was forked."""

_CONTEXT = multiprocessing.get_context("fork")


class Format(Protocol):
    """A module of `tests.fuzz.formats`."""

    def mutate(self, rng: random.Random) -> Any:
        """A case: the contents of one file, or of several."""

    def check(self, case: Any) -> None:
        """Read the case and use what was read. Raises Refused for a named error; any other error is a fault."""


@dataclass
class Report:
    """The outcomes of one format: counts of "accepted" and "refused", and the violations by seed."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[int, str] = field(default_factory=dict)
    wall_s: float = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        return f"{self.name}: {counts}, {len(self.violations)} violations in {self.wall_s:.0f} s"


def run(name: str, seeds: Iterable[int], *, stop_at_s: float = float("inf")) -> Report:
    """Check one mutated case of a format for each seed, until `time.monotonic()` is `stop_at_s`."""
    report, begin = Report(name), time.monotonic()
    worker: Worker | None = None
    with _temporary_files():
        module: Any = import_module(f"tests.fuzz.formats.{name}")
        for seed in seeds:
            if time.monotonic() > stop_at_s:
                break
            worker = worker or Worker(name, module)
            outcome, told = worker.check(seed)
            report.counts[outcome] += 1
            if outcome == "violation":
                report.violations[seed] = told
                print(f"{name} {seed}: {told}", file=sys.stderr, flush=True)
            if not worker.is_alive:
                worker = None
        if worker is not None:
            worker.end()
    report.wall_s = time.monotonic() - begin
    return report


class Worker:
    """A forked process that checks one seed after the other."""

    def __init__(self, name: str, module: Format) -> None:
        self._connection, other = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(name, module, other), daemon=True)
        self._process.start()
        other.close()
        self.is_alive = True

    def check(self, seed: int) -> tuple[str, str]:
        """The outcome of a seed, and what there is to tell about it."""
        self._connection.send(seed)
        if not self._connection.poll(MAX_WALL_S):
            self.end()
            return "violation", f"hangs: no answer in {MAX_WALL_S:g} s"
        try:
            outcome, told = self._connection.recv()
        except EOFError:
            return "violation", self._how_it_ended()
        return outcome, told

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self.is_alive = False

    def _how_it_ended(self) -> str:
        self._process.join()
        self.is_alive = False
        code = self._process.exitcode or 0
        if code == -signal.SIGPROF:
            return f"hangs: took {MAX_CPU_S:g} s of CPU time"
        return f"crashes: {signal.Signals(-code).name}" if code < 0 else f"ends its process with exit code {code}"


def _work(name: str, module: Format, connection: Connection) -> None:
    limit = _address_space_bytes() + MAX_MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        seed = connection.recv()
        # The default action of the signal ends the process, in the middle of C code too.
        signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
        outcome = _outcome(name, module, seed)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(outcome)


def _outcome(name: str, module: Format, seed: int) -> tuple[str, str]:
    try:
        module.check(module.mutate(random.Random(f"{name} {seed}")))
    except Refused as refusal:
        return "refused", str(refusal)
    except BaseException as error:  # whatever it is, it is the finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {str(error)[:300]} ({Path(place.filename).name}:{place.lineno})"
        return "violation", told
    return "accepted", ""


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _temporary_files:  # noqa: N801  # a context manager
    """A folder for all temporary files of the workers, which cannot delete them when they are killed."""

    def __enter__(self) -> None:
        self._before = tempfile.tempdir
        tempfile.tempdir = tempfile.mkdtemp(prefix="fuzz-")

    def __exit__(self, *_: object) -> None:
        assert tempfile.tempdir is not None
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
        tempfile.tempdir = self._before


def main(arguments: Sequence[str] | None = None) -> int:
    """Run formats from the command line; the exit code is 1 if there is a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=list(FORMATS), metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--seeds", default="0:100", help="BEGIN:END, or a single seed")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="wall-clock limit of each format")
    options = parser.parse_args(arguments)
    begin, _, end = options.seeds.partition(":")
    seeds = range(int(begin), int(end) if end else int(begin) + 1)
    num_violations = 0
    for name in options.formats:
        report = run(name, seeds, stop_at_s=time.monotonic() + options.seconds)
        num_violations += len(report.violations)
        print(report, flush=True)
    return 1 if num_violations else 0


if __name__ == "__main__":
    sys.exit(main())

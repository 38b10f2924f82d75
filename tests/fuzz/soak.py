"""Many mutated files of every format, by `make soak-fuzz`: 20,000 each, or as many as an hour has room for.

`XLMR_FUZZ_CASES` and `XLMR_FUZZ_HOURS` change both.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.runner import FORMATS

ROOT = Path(__file__).resolve().parents[2]
NUM_CASES = int(os.environ.get("XLMR_FUZZ_CASES", "20000"))
HOURS = float(os.environ.get("XLMR_FUZZ_HOURS", "0.95"))
NUM_AT_ONCE = 2


@pytest.mark.timeout(3600 * HOURS + 600)
def test_every_mutated_file_is_read_rightly_or_refused_by_name() -> None:
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        runs = list(pool.map(_run, FORMATS))
    violations = [run.stderr[-5000:] for run in runs if run.returncode != 0]
    assert not violations, "\n".join(violations)


def _run(name: str) -> subprocess.CompletedProcess[str]:
    seconds = 3600 * HOURS * NUM_AT_ONCE / len(FORMATS)
    command = [sys.executable, "-m", "tests.fuzz.runner", name, "--seeds", f"0:{NUM_CASES}"]
    done = subprocess.run(
        [*command, "--seconds", f"{seconds:.0f}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, end="", flush=True)
    return done

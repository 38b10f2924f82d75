"""A few mutated files of every format; `make soak-fuzz` checks many more."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.runner import FORMATS

ROOT = Path(__file__).resolve().parents[2]
NUM_CASES = 40


def test_every_mutated_file_is_read_rightly_or_refused_by_name() -> None:
    command = [sys.executable, "-m", "tests.fuzz.runner", "--seeds", f"0:{NUM_CASES}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    reports = done.stdout.splitlines()
    assert [report.partition(":")[0] for report in reports] == list(FORMATS)
    for report in reports:
        # Neither refuses everything nor accepts everything.
        assert " accepted, " in report, report
        assert " refused, " in report, report

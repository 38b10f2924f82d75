"""`python -m jobs.demo`: annotate the sample with the demo model on a local Ray, and show the output."""

import sys
from pathlib import Path

from jobs.demo.checks import first_problem
from jobs.terminal.leaving import leave_quickly
from jobs.terminal.streams import accept_any_text
from pipeline.exit_codes import FAILED

WORKSPACE = Path("demo")


def main() -> int:
    """Run the demo; returns its exit code."""
    accept_any_text()
    problem = first_problem(WORKSPACE)
    if problem:
        print("demo: " + problem, file=sys.stderr)
        return FAILED
    # Imported late: with too little memory, loading torch would fail first.
    from jobs.demo.run import run_demo  # noqa: PLC0415

    code = run_demo(WORKSPACE)
    leave_quickly(code)
    return code


if __name__ == "__main__":
    sys.exit(main())

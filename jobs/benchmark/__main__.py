"""Entry point of `python -m jobs.benchmark`."""

import sys

from jobs.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main())

"""Entry point of `python -m jobs.report`."""

import sys

from jobs.report.annotation.command import main

if __name__ == "__main__":
    sys.exit(main())

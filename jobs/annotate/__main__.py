"""Entry point of `python -m jobs.annotate`."""

import sys

from jobs.annotate.command import main

if __name__ == "__main__":
    sys.exit(main())

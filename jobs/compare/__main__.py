"""Entry point of `python -m jobs.compare`."""

import sys

from jobs.compare.command import main

if __name__ == "__main__":
    sys.exit(main())

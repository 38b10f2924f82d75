"""Entry point of `python -m jobs.fit`."""

import sys

from jobs.fit.command import main

if __name__ == "__main__":
    sys.exit(main())

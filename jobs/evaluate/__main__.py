"""Entry point of `python -m jobs.evaluate`."""

import sys

from jobs.evaluate.command import main

if __name__ == "__main__":
    sys.exit(main())

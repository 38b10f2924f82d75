"""Entry point of `python -m jobs.convert`."""

import sys

from jobs.convert.command import main

if __name__ == "__main__":
    sys.exit(main())

"""`jobs.annotate` as on an input of very many fragments: one dataset after another, here of few fragments each."""

import sys

import pipeline.driver.dataset
from jobs.annotate.command import main

NUM_FRAGMENTS = 25

if __name__ == "__main__":
    pipeline.driver.dataset.MAX_FRAGMENTS_AT_ONCE = NUM_FRAGMENTS
    sys.exit(main())

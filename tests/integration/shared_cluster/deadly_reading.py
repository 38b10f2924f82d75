"""`jobs.annotate` whose reader does not survive a file with `DEADLY` in its name."""

import os
import sys
from importlib import import_module
from typing import Any

import pyarrow as pa

import pipeline.stages.read
from jobs.annotate.command import main
from pipeline.fragments import Fragment
from pipeline.input.reading import read_fragment

DEADLY = "deadly"


def read_or_die(fragment: Fragment, *arguments: Any) -> pa.Table:
    """As `read_fragment`, of any other file."""
    if DEADLY in fragment.relative_path:
        os._exit(1)
    return read_fragment(fragment, *arguments)


if __name__ == "__main__":
    # As workers import it, and not as __main__.
    module = import_module("tests.integration.shared_cluster.deadly_reading")
    pipeline.stages.read.read_fragment = module.read_or_die
    sys.exit(main())

"""`jobs.annotate` whose reader does not survive the second fragment of a file with `DEADLY` in its name."""

import os
import sys
from importlib import import_module

import pyarrow as pa

import pipeline.stages.read
from jobs.annotate.command import main
from pipeline.fragments import Fragment
from pipeline.input.reading import FragmentReader

DEADLY = "deadly"


class DeadlyReader(FragmentReader):
    """A reader of any other fragment."""

    def read(self, fragment: Fragment) -> pa.Table:
        if DEADLY in fragment.relative_path and fragment.index == 1:
            os._exit(1)
        return super().read(fragment)


if __name__ == "__main__":
    # As workers import it, and not as __main__.
    module = import_module("tests.integration.shared_cluster.deadly_reading")
    pipeline.stages.read.FragmentReader = module.DeadlyReader
    sys.exit(main())

"""`jobs.annotate` with a tokenizer that its process does not survive where a text has `DEADLY` in it."""

import os
import sys
from importlib import import_module
from typing import Any

import pyarrow as pa

import pipeline.stages.encode
from jobs.annotate.command import main
from pipeline.encoding.fragment import encode_fragment

DEADLY = "\U00010384\U0001039a"


def encode_or_die(table: pa.Table, *arguments: Any, refused: dict[int, str], **options: Any) -> pa.Table:
    """As `encode_fragment`, if nothing deadly is read."""
    for row, text in enumerate(table["text"].to_pylist()):
        if text is not None and DEADLY in text and row not in refused:
            os._exit(1)
    return encode_fragment(table, *arguments, refused=refused, **options)


if __name__ == "__main__":
    # As workers import it, and not as __main__.
    module = import_module("tests.integration.shared_cluster.deadly_encoding")
    pipeline.stages.encode.encode_fragment = module.encode_or_die
    sys.exit(main())

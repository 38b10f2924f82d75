"""The short name of a run in logs and metrics."""

import hashlib
import re
from collections.abc import Mapping

from pipeline.output.manifest import run_digest
from pipeline.output.output_folder import OutputFolder

_MAX_NAME_CHARS = 40
_DIGEST_CHARS = 8
_OTHERS = re.compile(r"[^A-Za-z0-9_.-]+")


def run_id(output: OutputFolder, identity: Mapping[str, str]) -> str:
    """The last folder of the output with a digest of its path and of the run's identity: `annotated-5f2c9a1e`.

    It is the same in each call of the command that goes on with the run.
    """
    name = _OTHERS.sub("-", output.root.rstrip("/").rpartition("/")[2])[:_MAX_NAME_CHARS]
    digest = hashlib.sha256(f"{output.root}\n{run_digest(identity)}".encode()).hexdigest()
    return f"{name}-{digest[:_DIGEST_CHARS]}"

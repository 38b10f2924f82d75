"""Refuse an output inside the copy of the working directory that `ray job submit` makes."""

from collections.abc import Mapping
from pathlib import Path

from pyarrow import fs

from pipeline.errors import ConfigError
from pipeline.storage.locations import resolve_path
from pipeline.storage.submitted_folder import submitted_folder


def refuse_lost_output(output_path: str, environment: Mapping[str, str]) -> None:
    """Raise ConfigError if the output lies in the copy of `--working-dir`, which Ray may delete at any time."""
    copy = submitted_folder(environment)
    if copy is None:
        return
    filesystem, root = resolve_path(output_path, "output.path")
    if isinstance(filesystem, fs.LocalFileSystem) and Path(root).is_relative_to(copy):
        raise ConfigError(
            f"output.path: {output_path} lies in the copy of --working-dir that `ray job submit` made and Ray "
            "deletes later, expected a folder that stays; name an absolute path that all nodes share, or "
            "s3://…, for example with --set output.path=/shared/annotated"
        )

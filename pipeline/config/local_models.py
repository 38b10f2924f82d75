"""Replace the models of a job by directories that every process finds: downloads, and absolute paths."""

import os
from typing import Any

from model.checkpoints.errors import CheckpointError
from model.checkpoints.hub import checkpoint_directory, is_hub_id, tokenizer_directory
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.storage.submitted_folder import submitted_folder


def with_local_models(job: JobConfig) -> JobConfig:
    """The job with cached directories in place of hub ids, for which missing files are downloaded.

    Relative paths become absolute, as workers of a cluster that is joined have another working directory; not in a
    submitted job, whose workers have a copy of it, each node its own. On a cluster, the cache (`HF_HOME`) has to
    be on a shared file system. Raises ConfigError, which names the field, for an id that is neither on the hub
    nor in the cache.
    """
    model = {**job.model.model_dump(), "path": _local(job.model.path, "model.path", has_tokenizer=True)}
    heads: dict[str, Any] = {}
    for name, options in job.heads.items():
        changes: dict[str, str] = {"weights": _local(options.weights, f"heads.{name}.weights")}
        if options.trunk is not None:
            changes["trunk"] = _local(options.trunk, f"heads.{name}.trunk")
        heads[name] = options.model_copy(update=changes)
    return job.model_copy(update={"model": type(job.model)(**model), "heads": heads})


def _local(path: str, field: str, *, has_tokenizer: bool = False) -> str:
    if not is_hub_id(path):
        return path if submitted_folder(os.environ) else os.path.abspath(path)
    try:
        if has_tokenizer:
            tokenizer_directory(path)
        return str(checkpoint_directory(path))
    except CheckpointError as error:
        raise ConfigError(f"{field}: {error}") from None

"""Hub ids in a job -> local directories, before anything else looks at them."""

from typing import Any

from model import CheckpointError
from model.checkpoints.hub import checkpoint_directory, is_hub_id, tokenizer_directory
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError


def with_local_models(job: JobConfig) -> JobConfig:
    """The job with the cached directory in the place of every hub id; files that are missing are fetched.

    On a cluster of several machines the cache (`HF_HOME`) has to be on a file system that all of them see, like
    any model directory.

    Raises:
        ConfigError: an id that neither the hub nor the cache knows, naming the field.
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
        return path
    try:
        if has_tokenizer:
            tokenizer_directory(path)
        return str(checkpoint_directory(path))
    except CheckpointError as error:
        raise ConfigError(f"{field}: {error}") from None

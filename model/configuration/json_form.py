"""Find and read `config.json`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.checkpoints.errors import CheckpointError
from model.checkpoints.hub import CONFIG_FILE, HubOptions, config_directory
from model.checkpoints.json_files import read_json_object
from model.checkpoints.weight_files import describe_contents

# Secret options of from_pretrained, which some files contain by mistake.
SECRETS = ("token", "use_auth_token")

logger = logging.getLogger(__name__)


@contextmanager
def errors_that_name(file: Path) -> Iterator[None]:
    """Put the path of a file before the message of a ValueError about its contents."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def find_config_file(path: str | Path, options: HubOptions) -> Path:
    """The `config.json` of a directory or hub id; the path of a file is returned as it is."""
    file = Path(path)
    return file if file.is_file() else config_directory(path, options) / CONFIG_FILE


def read_config_file(file: Path) -> dict[str, Any]:
    """The object in a `config.json`, without secrets.

    Raises ValueError: the file does not exist, or is not a JSON object.
    """
    if not file.is_file():
        raise ValueError(
            f"{file} is not there: a checkpoint directory in Hugging Face layout is expected; "
            f"{describe_contents(file.parent)}"
        )
    values = read_json_object(file)
    for name in SECRETS:
        if values.pop(name, None) is not None:
            logger.warning("%s holds a secret, %r, which is not read; delete it there and revoke it", file, name)
    return values

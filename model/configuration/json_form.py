"""Find and read `config.json`."""

import json
import logging
from pathlib import Path
from typing import Any

from model.checkpoints.hub import CONFIG_FILE, HubOptions, config_directory
from model.checkpoints.weight_files import describe_contents

# Secret options of from_pretrained, which some files contain by mistake.
SECRETS = ("token", "use_auth_token")

logger = logging.getLogger(__name__)


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
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold a JSON object, found {type(values).__name__}")
    for name in SECRETS:
        if values.pop(name, None) is not None:
            logger.warning("%s holds a secret, %r, which is not read; delete it there and revoke it", file, name)
    return values

"""Files that the user names for one result, on the local disk."""

from pathlib import Path

from pipeline.errors import ConfigError


def require_writable(option: str, path: str) -> None:
    """Raise ConfigError, before any work, for a path at which no file can be written."""
    if Path(path).is_dir():
        raise ConfigError(f"{option}: found the folder {path}, expected a file; name a file in it")
    if not Path(path).parent.is_dir():
        raise ConfigError(
            f"{option}: found {path}, expected a file in a folder that exists; make the folder first"
        )


def write_file(option: str, path: str, data: bytes) -> None:
    """Write a file. Raises ConfigError where that is not possible."""
    require_writable(option, path)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror}; name another file") from None

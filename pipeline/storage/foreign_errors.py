"""Errors of file systems that are not Arrow's own, as OSErrors."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Turn whatever a client for fsspec raises into an OSError; they raise errors of their HTTP libraries."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error

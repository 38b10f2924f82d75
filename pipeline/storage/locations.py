"""Resolve paths and URIs of a job file to file systems, and report errors of the first requests to them."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pyarrow import fs

from pipeline.errors import InputError
from pipeline.storage.filesystem_uris import endpoint_of, open_uri, without_secret
from pipeline.storage.printable import is_utf8, printable
from pipeline.storage.retries import RETRY_FOR_S, retry_transient

T = TypeVar("T")

SLOW_S = 5.0
"""Seconds after which a message says what a request waits for."""
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WEB = ("http", "https")


def is_uri(path: str) -> bool:
    """Whether a path of the job file is a URI, not a local path."""
    return _URI.match(path) is not None


def with_suffix(path: str, suffix: str) -> str:
    """A path or URI with a suffix, such as `.preview` or `/a/b`; options of a URI stay at its end."""
    location, mark, query = path.partition("?") if is_uri(path) else (path, "", "")
    return f"{location.rstrip('/')}{suffix}{mark}{query}"


def resolve_path(path: str, field: str) -> tuple[fs.FileSystem, str]:
    """File system of a path or URI, and the absolute path within it, without a slash at its end.

    Raises InputError, which names `field`, if there is no such file system, or it cannot be reached.
    """
    match = _URI.match(path)
    if match is None:
        return fs.LocalFileSystem(), _absolute(path, field)
    scheme = match.group(1).lower()
    uri = scheme + path[len(scheme) :]
    if scheme in _WEB:
        raise InputError(
            f"{field}: found {without_secret(uri)}, a web address, where no files can be listed or written; "
            "expected a local path, s3://, gs:// or another store; download the files, or copy them to a store"
        )
    filesystem, inner = ask_store(lambda: open_uri(uri), field, uri, "opened")
    if not inner.strip("/") and filesystem.type_name != "local":
        raise InputError(
            f"{field}: found {without_secret(uri)}, which names no bucket, expected one as in "
            f"{scheme}://bucket/folder; add it"
        )
    return filesystem, inner.rstrip("/") or "/"


def ask_store(action: Callable[[], T], field: str, uri: str, what: str = "listed") -> T:
    """The result of `action`, a first request to the store of a URI, with retries of transient errors.

    Prints a message to stderr if that takes a while. Raises InputError, which names the endpoint, for any error.
    """
    where, endpoint = f"{field}: {without_secret(uri)}", endpoint_of(uri)
    try:
        with _said_if_slow(
            f"{where}: still waiting for {endpoint} after {SLOW_S:g} s; requests that fail are retried for up to "
            f"{RETRY_FOR_S:g} s"
        ):
            return retry_transient(action)
    except Exception as error:
        # File systems of fsspec raise errors of any type.
        reason = without_secret(str(error).partition("\n")[0] or type(error).__name__)
        raise InputError(
            f"{where} cannot be {what}: {reason} ({endpoint}); expected a local path, s3://, gs:// or another "
            "store that answers, with credentials where it asks for them; check path, endpoint and permissions"
        ) from None


@contextmanager
def _said_if_slow(line: str) -> Iterator[None]:
    timer = threading.Timer(SLOW_S, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _absolute(path: str, field: str) -> str:
    found = os.path.abspath(os.path.expanduser(path))
    if not is_utf8(found) or "\0" in found:
        raise InputError(
            f"{field}: found {printable(found)}, which is not valid UTF-8, expected one in UTF-8; rename it, or "
            "choose another"
        )
    return found

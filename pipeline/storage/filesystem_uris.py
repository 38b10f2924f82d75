"""Open URIs with Arrow's file systems or else with fsspec, and strip secrets from them for printing."""

import os
import re
from urllib.parse import parse_qsl, quote

import fsspec
import pyarrow as pa
from pyarrow import fs

# S3: files of some megabytes are written by one request, so a killed process leaves no incomplete upload.
# Google: its client retries for about as long as that for S3, instead of 15 minutes.
_DEFAULT_OPTIONS = {
    "s3": {"allow_delayed_open": "true"},
    "gs": {"retry_limit_seconds": "6"},
    "gcs": {"retry_limit_seconds": "6"},
}
_ARROW_SCHEMES = {"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file"}
_SERVICES = {"s3": "Amazon S3", "gs": "Google Cloud Storage", "gcs": "Google Cloud Storage"}
_SERVICES |= dict.fromkeys(("abfs", "abfss"), "Azure Storage")
# A password may contain a slash that should have been quoted.
_USER = re.compile(r"://(?:[^/@\s]*|[^@\s?]*:[^@\s?]*)@")
_OPTIONS = re.compile(r"(://[^\s?']*)\?[^\s']*")


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """File system of a URI, and the path within it.

    Options follow a question mark, such as `s3://bucket/x?region=eu-west-1&endpoint_override=host:9000&scheme=http`.
    Their defaults are from the environment, such as AWS_ENDPOINT_URL, AWS_REGION or AWS_PROFILE.
    Raises OSError or pa.ArrowException if it cannot be opened, ImportError if a package for it is missing.
    """
    location, _, query = uri.partition("?")
    scheme, _, rest = location.partition("://")
    if scheme not in _ARROW_SCHEMES:
        return _open_by_fsspec(uri)
    # Quote characters that are invalid in a URI, but not those that the user has quoted.
    quoted = f"{scheme}://{quote(rest, safe='/%:@')}"
    options = [option for option in query.split("&") if option]
    given = {option.partition("=")[0] for option in options}
    defaults = _DEFAULT_OPTIONS.get(scheme, {})
    options += [f"{name}={value}" for name, value in defaults.items() if name not in given]
    filesystem, path = fs.FileSystem.from_uri("?".join([quoted, *filter(None, ["&".join(options)])]))
    return filesystem, path


def without_secret(path: str) -> str:
    """A path or message for printing: without the user, password and options of URIs in it."""
    return _OPTIONS.sub(r"\1", _USER.sub("://", path))


def endpoint_of(uri: str) -> str:
    """The endpoint of a URI for printing: from its options, the environment, or the service."""
    location, _, query = uri.partition("?")
    scheme = location.partition("://")[0].lower()
    options = dict(parse_qsl(query))
    address = options.get("endpoint_override")
    if address is None and scheme == "s3":
        address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not address:
        return _SERVICES.get(scheme, f"the store of {scheme}://")
    return without_secret(address if "://" in address else f"{options.get('scheme', 'https')}://{address}")


def is_same_store(uri: str, other: str) -> bool:
    """Whether two URIs, perhaps with different options, are of the same store."""
    schemes = {some.partition("://")[0].lower() for some in (uri, other)}
    return (schemes == {"s3"} or schemes <= {"gs", "gcs"}) and endpoint_of(uri) == endpoint_of(other)


def _open_by_fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from None
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path

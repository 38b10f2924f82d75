"""Opens the file system of a URI: by Arrow where it has one for it, else by fsspec."""

from urllib.parse import quote

import fsspec
import pyarrow as pa
from pyarrow import fs

# Files up to some megabytes are then put by one request, so that not even a killed process leaves a piece behind.
_S3_OPTIONS = {"allow_delayed_open": "true"}
_ARROW_SCHEMES = {"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file"}


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path within it of a URI.

    Options follow a question mark, such as `s3://bucket/x?region=eu-west-1&endpoint_override=host:9000&scheme=http`.
    What is not there comes from the environment, such as AWS_ENDPOINT_URL, AWS_REGION or AWS_PROFILE.
    Raises OSError or pa.ArrowException where it cannot be opened, ImportError where a package for it is missing.
    """
    location, _, query = uri.partition("?")
    scheme, _, rest = location.partition("://")
    if scheme not in _ARROW_SCHEMES:
        return _open_by_fsspec(uri)
    # What a URI cannot hold is quoted here; what the user has quoted is left alone.
    quoted = f"{scheme}://{quote(rest, safe='/%:@')}"
    options = [option for option in query.split("&") if option]
    if scheme == "s3":
        given = {option.partition("=")[0] for option in options}
        options += [f"{name}={value}" for name, value in _S3_OPTIONS.items() if name not in given]
    filesystem, path = fs.FileSystem.from_uri("?".join([quoted, *filter(None, ["&".join(options)])]))
    return filesystem, path


def _open_by_fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from None
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path

"""Errors by which a store or a disk refuses access, and what to do about them on the node where they happen."""

import os
import re
import socket
from collections.abc import Mapping

# Arrow's messages for errors of the clients of S3, Google Cloud Storage and Azure, and errors of fsspec's clients.
_ACCESS = re.compile(
    r"AWS Error (?:ACCESS_DENIED|EXPIRED_TOKEN|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|INVALID_SIGNATURE"
    r"|MISSING_AUTHENTICATION_TOKEN|REQUEST_EXPIRED|SIGNATURE_DOES_NOT_MATCH|UNRECOGNIZED_CLIENT)"
    r"|HTTP status 40[13]"
    r"|google::cloud::Status\((?:PERMISSION_DENIED|UNAUTHENTICATED)"
    r"|status code:? 40[13]"
    r"|Access Denied|Forbidden|NoCredentialsError|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch"
    # As of EACCES, of a local or network file system.
    r"|Permission denied"
)
_OF_DISKS = "Permission denied"
_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "GOOGLE_APPLICATION_CREDENTIALS",
)


def access_error_in(text: str) -> str | None:
    """The kind of access error that a message tells of; None if it tells of none."""
    match = _ACCESS.search(text)
    return None if match is None else match.group()


def access_remedy(kind: str, environment: Mapping[str, str] = os.environ) -> str:
    """What to do about a kind of access error in this process; names variables, never their values."""
    node = f"on the node {socket.gethostname()}"
    if kind == _OF_DISKS:
        return (
            f"{node} the run has the rights of user {os.geteuid()} and group {os.getegid()}; give them access "
            "there, or start that node's Ray as a user who has it"
        )
    found = [name for name in _SOURCES if environment.get(name)]
    has = " and ".join(found) if found else f"none of {', '.join(_SOURCES)}"
    return (
        f"{node} the environment has {has}; give that node access, by the role of its machine or pod or by a "
        "credentials file, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the command, which hands them "
        "on to all nodes"
    )

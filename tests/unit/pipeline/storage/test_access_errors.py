import os
import socket

import pytest

from pipeline.storage.access_errors import access_error_in, access_remedy


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "When reading information for key 'a' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject "
            "operation: No response body.",
            "AWS Error ACCESS_DENIED",
        ),
        ("AWS Error UNKNOWN (HTTP status 403) during GetObject operation", "HTTP status 403"),
        ("google::cloud::Status(PERMISSION_DENIED: no)", "google::cloud::Status(PERMISSION_DENIED"),
        ("PermissionError: Access Denied", "Access Denied"),
        ("NoCredentialsError: Unable to locate credentials", "NoCredentialsError"),
        ("AWS Error NETWORK_CONNECTION during GetObject operation", None),
        ("AWS Error UNKNOWN (HTTP status 404)", None),
        ("[Errno 13] Failed to open local file '/x'. Detail: [errno 13] Permission denied", "Permission denied"),
        ("[Errno 1] Operation not permitted", None),
    ],
)
def test_access_errors_are_told_from_others(text: str, kind: str | None) -> None:
    assert access_error_in(text) == kind


def test_the_remedy_says_what_is_missing_where() -> None:
    kind = "AWS Error ACCESS_DENIED"
    remedy = access_remedy(kind, {"AWS_REGION": "eu"})
    assert f"on the node {socket.gethostname()} the environment has none of AWS_ACCESS_KEY_ID, " in remedy
    assert "the environment has AWS_ACCESS_KEY_ID and AWS_PROFILE;" in access_remedy(
        kind, {"AWS_ACCESS_KEY_ID": "key", "AWS_PROFILE": "night"}
    )
    assert "key" not in access_remedy(kind, {"AWS_ACCESS_KEY_ID": "key"}).replace("_KEY_ID", "")


def test_the_remedy_for_files_says_as_whom_the_run_reads() -> None:
    remedy = access_remedy("Permission denied", {"AWS_ACCESS_KEY_ID": "key"})
    assert f"the run has the rights of user {os.geteuid()} and group {os.getegid()};" in remedy
    assert "AWS" not in remedy

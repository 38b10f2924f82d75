"""Send file systems to other processes, with the variables by which clients of object stores find credentials.

Arrow and fsspec look for credentials, region and endpoint in the environment of the process that opens the store.
On a cluster that of a worker is the one its node was started with, so the driver hands its own on: inside the
pickled file system, as Ray would log a runtime environment.
"""

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Where the driver has one of these, workers have the same ones, and no others."""
SETTINGS = (
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
)
# Others, such as AWS_WEB_IDENTITY_TOKEN_FILE, name files or services of one machine: each node has its own.


@dataclass(frozen=True)
class Sent(Generic[T]):
    """A file system, or an object with one in it; opened in another process as it would be opened in this one."""

    value: T

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the value apart, so that the variables are set before it is opened."""
        return _receive, (store_variables(os.environ), pickle.dumps(self.value))


def store_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to hand on."""
    return {name: environment[name] for name in (*CREDENTIALS, *SETTINGS) if name in environment}


def _receive(variables: Mapping[str, str], pickled: bytes) -> "Sent[Any]":
    if not variables.keys().isdisjoint(CREDENTIALS):
        for name in CREDENTIALS:
            if name not in variables:
                os.environ.pop(name, None)
    for name, value in variables.items():
        # Only once: another thread may be reading the environment.
        if os.environ.get(name) != value:
            os.environ[name] = value
    return Sent(pickle.loads(pickled))

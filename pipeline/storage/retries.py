"""Retry transient storage errors with exponential backoff and jitter; used for all reads, writes, listings."""

import errno
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

RETRY_FOR_S = 90.0
"""How long to retry: no attempt begins later than this after the first one."""
_FIRST_DELAY_S, _MAX_DELAY_S = 0.5, 16.0

_TRANSIENT_ERRNOS = {
    errno.EAGAIN,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.EIO,  # of network mounts that time out
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
# Arrow's messages for errors of the clients of S3, Google Cloud Storage and Azure, which have no errno.
_TRANSIENT_MESSAGE = re.compile(
    r"AWS Error (?:NETWORK_CONNECTION|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT)"
    r"|HTTP status (?:408|429|5\d\d)"
    r"|google::cloud::Status\((?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|ABORTED|RESOURCE_EXHAUSTED)"
    r"|status code:? (?:408|429|5\d\d)"
)


def is_transient(error: BaseException) -> bool:
    """Whether an error of a file system is transient, by its type, errno or status."""
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if not isinstance(error, OSError):
        return False
    return error.errno in _TRANSIENT_ERRNOS or _TRANSIENT_MESSAGE.search(str(error)) is not None


def retry_transient(action: Callable[[], T], for_s: float = RETRY_FOR_S) -> T:
    """Call `action` until it raises no transient error, and return its result.

    Delays double from half a second to 16 seconds, and each is reduced by up to a half at random. Raises the last
    error if the next attempt would begin after `for_s` seconds, and other errors at once.
    """
    deadline = time.monotonic() + for_s
    delay_s = _FIRST_DELAY_S
    while True:
        pause_s = delay_s * random.uniform(0.5, 1)
        try:
            return action()
        except OSError as error:
            if not is_transient(error) or time.monotonic() + pause_s > deadline:
                raise
        time.sleep(pause_s)
        delay_s = min(2 * delay_s, _MAX_DELAY_S)

"""Tries again what fails for a moment only: a store that is busy, a connection that breaks."""

import errno
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

# Arrow's own S3 client goes on for six seconds each time; with these it is a minute and a half in all.
DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_TRANSIENT_ERRNOS = {
    errno.EAGAIN,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.EPIPE,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
# As Arrow words what it gets from S3, from Google's client and from Azure's; they come without a number.
_TRANSIENT_MESSAGE = re.compile(
    r"AWS Error (?:NETWORK_CONNECTION|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT)"
    r"|HTTP status (?:408|429|5\d\d)"
    r"|google::cloud::Status\((?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|ABORTED|RESOURCE_EXHAUSTED)"
    r"|status code:? (?:408|429|5\d\d)"
)


def is_transient(error: BaseException) -> bool:
    """Whether an error of a file system may be gone a little later."""
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if not isinstance(error, OSError):
        return False
    return error.errno in _TRANSIENT_ERRNOS or _TRANSIENT_MESSAGE.search(str(error)) is not None


def retrying(action: Callable[[], T], delays_s: Sequence[float] = DELAYS_S) -> T:
    """What `action` returns, which is called again after a while where its error may pass.

    It is called at most once more than there are delays; each is cut by up to a half, by chance, so that many
    workers that failed together do not come back together.
    """
    for delay_s in delays_s:
        try:
            return action()
        except OSError as error:
            if not is_transient(error):
                raise
        time.sleep(delay_s * random.uniform(0.5, 1))
    return action()

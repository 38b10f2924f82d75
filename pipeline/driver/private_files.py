"""Keep Ray's token, and the logs and sockets of a session, from other users of the machine."""

import os
from contextlib import suppress
from pathlib import Path


def make_token_private() -> None:
    """Make `~/.ray` 0700 and the token in it 0600; Ray makes them 0755 and 0644.

    A mounted secret, or what belongs to another user, stays as it is.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        folder = Path.home() / ".ray"
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        (folder / "auth_token").chmod(0o600)


def make_session_private(folder: str) -> None:
    """Make the folder of a session that this process has started 0700; Ray makes it 0777."""
    os.chmod(folder, 0o700)

"""Files of an output in an object store, changed only while the claim of the driver is there and no other.

A store has no renames, and Arrow's clients no conditional requests. So looking at the claims is not atomic with
the change after it: one that is under way when the lease is lost may still land. So may objects that are put
within a second after a look, as one look is for all of them; deletions and copies have a look of their own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import LeaseLostError
from pipeline.storage.foreign_errors import as_os_errors
from pipeline.storage.retries import retry_transient

CLAIMS = "_manifest/lease"
CLAIM_SUFFIX = ".json"
EPOCH_SIZE = 8
_NUM_LOOKS, _PAUSE_S = 6, 1.0
LOOK_HOLDS_S = 1.0
"""So long a look at the claims is good for, so that a part and its record take one."""


def is_local(filesystem: fs.FileSystem) -> bool:
    """Whether it is the local file system, which can rename files and has folders."""
    local: bool = filesystem.type_name == "local"
    return local


def epoch_of(claim: str) -> int:
    """The epoch of a claim, by its name: later than those of all claims that its driver found dead."""
    epoch = claim.partition("-")[0]
    return int(epoch) if epoch.isdecimal() and len(epoch) == EPOCH_SIZE else 0


class LastLook:
    """When this process has last seen the claim of its driver without a rival. Others look for themselves."""

    def __init__(self) -> None:
        self._seen: tuple[str, float] | None = None

    def __reduce__(self) -> tuple[type["LastLook"], tuple[()]]:
        return LastLook, ()

    def is_fresh(self, claim: str) -> bool:
        """Whether this claim was seen just now."""
        return (
            self._seen is not None and self._seen[0] == claim and time.monotonic() - self._seen[1] < LOOK_HOLDS_S
        )

    def remember(self, claim: str, began: float) -> None:
        """Remember a look at this claim by the time at which it began."""
        self._seen = claim, began


@dataclass(frozen=True)
class StoreFiles:
    """The objects below `root`; all paths are relative to it. Errors are OSErrors.

    `claim` is that of the driver; without one (no driver holds the output) changes are not guarded.
    """

    filesystem: fs.FileSystem
    root: str
    claim: str | None = None
    last_look: LastLook = field(default_factory=LastLook, compare=False, repr=False)

    def write(self, path: str, data: bytes | pa.Buffer) -> None:
        """Make `data` the content of an object; where that fails, delete what came of it.

        Not once the lease is lost: then it may be what the next holder has written.
        """
        if self.claim is not None and not self.last_look.is_fresh(self.claim):
            self.require_lease()
        self._write(path, data, self.delete)

    def write_unguarded(self, path: str, data: bytes | pa.Buffer) -> None:
        """The same without a look at the claims: for the claims themselves."""
        self._write(path, data, self.delete_unguarded)

    def _write(self, path: str, data: bytes | pa.Buffer, delete: Callable[[str], None]) -> None:
        try:
            with as_os_errors(), self.filesystem.open_output_stream(self._whole(path), compression=None) as stream:
                stream.write(data)
        except BaseException:
            # Closing a stream after an error completes its upload, so what is there may be a piece.
            with suppress(OSError, LeaseLostError):
                delete(path)
            raise

    def read(self, path: str) -> bytes | None:
        """The content of an object; None where there is none."""
        try:
            # Uncompressed, whatever the name ends with.
            with as_os_errors(), self.filesystem.open_input_stream(self._whole(path), compression=None) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def move(self, old: str, new: str) -> None:
        """Copy an object within the store, replacing what has the new name, and delete it."""
        retry_transient(lambda: self._copy(old, new))
        retry_transient(lambda: self.delete(old))

    def delete(self, path: str) -> None:
        """Delete an object, or all whose names begin with this path as with a folder, if there are any."""
        self.require_lease()
        self.delete_unguarded(path)

    def delete_unguarded(self, path: str) -> None:
        """The same without a look at the claims: for the claims themselves."""
        whole = self._whole(path)
        # Another process may remove it between the question and the deletion.
        with suppress(FileNotFoundError), as_os_errors():
            kind = self.filesystem.get_file_info(whole).type
            if kind == fs.FileType.File:
                self.filesystem.delete_file(whole)
            elif kind == fs.FileType.Directory:
                self.filesystem.delete_dir(whole)

    def list(self, path: str, *, recursive: bool, has_links: bool = False) -> Iterator[tuple[str, int | None]]:
        """Path and size in bytes of every object in a folder, of folders with None, in no order; no links."""
        whole = self._whole(path) if path else self.root
        prefix_size = len(self.root.rstrip("/")) + 1
        with as_os_errors():
            selector = fs.FileSelector(whole, recursive=recursive, allow_not_found=True)
            infos = self.filesystem.get_file_info(selector)
        for info in infos:
            yield info.path[prefix_size:], info.size if info.type == fs.FileType.File else None

    def claims(self) -> set[str]:
        """The claims that are there."""
        paths = [path for path, _ in self.list(CLAIMS, recursive=False)]
        names = {path.rpartition("/")[2] for path in paths if path.endswith(CLAIM_SUFFIX)}
        return {name.removesuffix(CLAIM_SUFFIX) for name in names}

    def require_lease(self) -> None:
        """Look at the claims.

        Raises LeaseLostError unless the claim is there, and none beside it of its epoch or of a later one.
        """
        if self.claim is None:
            return
        for _ in range(_NUM_LOOKS):
            began = time.monotonic()
            found = self.claims()
            rivals = {claim for claim in found - {self.claim} if epoch_of(claim) >= epoch_of(self.claim)}
            if self.claim not in found or any(epoch_of(rival) > epoch_of(self.claim) for rival in rivals):
                break
            if not rivals:
                self.last_look.remember(self.claim, began)
                return
            # A driver that wanted the lease at the same time; it withdraws its claim in a moment.
            time.sleep(_PAUSE_S)
        raise LeaseLostError(self.root)

    def _copy(self, old: str, new: str) -> None:
        self.require_lease()
        with as_os_errors():
            self.filesystem.copy_file(self._whole(old), self._whole(new))

    def _whole(self, path: str) -> str:
        return f"{self.root}/{path}"

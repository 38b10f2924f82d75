"""The lease of an output, held by one driver at a time: a small file in `_manifest/lease/` that it renews.

A driver looks for the claims of others, writes its own claim, looks again, and withdraws it if there is another
one. As listings are consistent (local disks, NFS, S3, GCS), two drivers can never both continue, without
conditional writes.

A claim is dead if its process is gone from this machine, or, on another one, if it has not been renewed for its
`timeout_s`, by the clock of who watches. A driver that cannot renew its claim for nearly as long, or finds it
gone, ends itself. One that was paused meanwhile and wakes up can do no harm: before anything else, the next holder
takes its workspace away, by which it changes local files, or deletes its claim, without which it changes no object
(`pipeline.storage.local_files`, `pipeline.storage.store_files`).
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from pipeline.errors import LeaseLostError, OutputError
from pipeline.output.claim import Claim, refusal
from pipeline.output.heartbeat import BEATS_PER_TIMEOUT, Heartbeat
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.local_files import LocalFiles
from pipeline.storage.retries import retry_transient
from pipeline.storage.store_files import CLAIM_SUFFIX, CLAIMS, StoreFiles, epoch_of

LEASE = CLAIMS
_MAX_WAIT_AT_ONCE_S = 1.0


@contextmanager
def held_lease(
    output: OutputFolder, timeout_s: float, tell: Callable[[str], None], on_lost: Callable[[], None] = lambda: None
) -> Iterator[OutputFolder]:
    """Hold the lease during the block, which gets the output as this driver may change it.

    `tell` gets a line for people if acquiring it takes a while; `on_lost` is called in a thread when the lease is
    lost. Raises ConfigError where another driver holds it,
    and LeaseLostError where it was lost meanwhile, in place of the KeyboardInterrupt that then ends the block.
    """
    claim = acquire(output, timeout_s, tell)
    held = replace(output, claim=claim.token)
    heartbeat = Heartbeat(held, claim, on_lost)
    heartbeat.start()
    try:
        yield held
    except KeyboardInterrupt:
        if heartbeat.is_lost:
            raise LeaseLostError(output.root) from None
        raise
    finally:
        heartbeat.stop()
        give_back(held)


def acquire(output: OutputFolder, timeout_s: float, tell: Callable[[str], None]) -> Claim:
    """Acquire the lease; see `held_lease`."""
    dead: set[str] = set()
    while True:
        for token in sorted(claims_on(output) - dead):
            _wait_for_death(output, token, timeout_s, tell)
            dead.add(token)
        own = Claim.of_this_process(timeout_s, epoch=1 + max(map(epoch_of, dead), default=0))
        held = replace(output, claim=own.token)
        # Lost where another driver has just taken the lease, and this workspace away with others.
        with suppress(LeaseLostError):
            _claim(held, own)
            if not claims_on(output) - dead - {own.token}:
                _take_over(held, dead)
                return own
        give_back(held)
        time.sleep(random.uniform(0, 1))


def give_back(held: OutputFolder) -> None:
    """Remove a claim and its workspace; a claim that cannot be removed expires.

    Also where the workspace was taken away: left there, the claim would be that of a living process.
    """
    files = held.files
    with suppress(OSError, LeaseLostError):
        _delete_claim(files, _path_of(held.claim))
        if isinstance(files, LocalFiles):
            files.close_workspace()


def claims_on(output: OutputFolder) -> set[str]:
    """The claims that are there, each by its token."""
    paths = (path.removeprefix(f"{LEASE}/") for path, _ in output.list_files(LEASE))
    return {path.removesuffix(CLAIM_SUFFIX) for path in paths if path.endswith(CLAIM_SUFFIX)}


def _claim(held: OutputFolder, claim: Claim) -> None:
    """Write a claim for the first time; its workspace comes before it."""
    files = held.files
    path = _path_of(claim.token)
    try:
        if isinstance(files, LocalFiles):
            retry_transient(files.open_workspace)
            retry_transient(lambda: files.write(path, claim.to_json(), is_flushed=False))
        else:
            retry_transient(lambda: files.write_unguarded(path, claim.to_json()))
    except OSError as error:
        raise OutputError(
            f"output.path: {held.root}/{LEASE} cannot be written: {error.strerror or error}; check free space "
            "and permissions, then run the job again: finished parts are kept"
        ) from error


def _take_over(held: OutputFolder, dead: set[str]) -> None:
    """End what the drivers of dead claims may still do, and complete what they have begun."""
    files = held.files
    if isinstance(files, LocalFiles):
        retry_transient(files.take_over)
    paths = [_path_of(token) for token in dead]
    # Versions before workspaces wrote claims beside their place.
    paths += [path for path, _ in held.list_files(LEASE) if not path.endswith(CLAIM_SUFFIX)]
    for path in paths:
        _delete_claim(files, path)


def _delete_claim(files: LocalFiles | StoreFiles, path: str) -> None:
    retry_transient(lambda: files.delete_unguarded(path))


def _wait_for_death(output: OutputFolder, token: str, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Return once a claim is dead or deleted. Raises ConfigError if it is alive."""
    first = output.read(_path_of(token))
    claim = Claim.parse(first)
    if claim is not None and claim.is_here:
        if claim.is_running:
            raise refusal(output.root, claim)
        return
    wait_s = timeout_s if claim is None else claim.timeout_s
    if first is not None:
        who = "another run" if claim is None else f"process {claim.pid} on {claim.host}"
        tell(f"{output.root} is claimed by {who}; waiting {wait_s:g} s for a sign of life")
    deadline = time.monotonic() + wait_s
    while first is not None and time.monotonic() < deadline:
        time.sleep(min(_MAX_WAIT_AT_ONCE_S, wait_s / BEATS_PER_TIMEOUT))
        now = output.read(_path_of(token))
        if now is None:
            return
        if now != first:
            raise refusal(output.root, Claim.parse(now) or claim)


def _path_of(token: str | None) -> str:
    return f"{LEASE}/{token}{CLAIM_SUFFIX}"

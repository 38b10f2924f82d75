"""The heartbeat of a lease: a thread that renews the claim of this driver, and interrupts it if it is lost."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from pipeline.errors import LeaseLostError
from pipeline.output.claim import Claim
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.local_files import LocalFiles
from pipeline.storage.store_files import CLAIM_SUFFIX, CLAIMS

BEATS_PER_TIMEOUT = 6


class Heartbeat:
    """Renews a claim in a thread; `beat` is one renewal.

    `interval_s`: seconds between two renewals. `is_lost`: the lease is lost, and the main thread was interrupted;
    `on_lost` is called before that.
    """

    def __init__(self, held: OutputFolder, claim: Claim, on_lost: Callable[[], None] = lambda: None) -> None:
        self._files = held.files
        self._claim = claim
        self._path = f"{CLAIMS}/{claim.token}{CLAIM_SUFFIX}"
        self.interval_s = claim.timeout_s / BEATS_PER_TIMEOUT
        self._renewed = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.is_lost = False
        self._on_lost = on_lost

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; it may be in a renewal, which is waited for."""
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """Renew the claim once, and set `is_lost` where it is gone, or was not renewed in time."""
        begun, renewed = time.monotonic(), self._renewed
        try:
            self._renew()
            renewed = begun
        except LeaseLostError:
            self.is_lost = True
        except OSError:
            pass
        # Also where a renewal was slow: others may have taken the claim for dead meanwhile.
        if time.monotonic() - self._renewed > self._claim.timeout_s - self.interval_s:
            self.is_lost = True
        self._renewed = renewed

    def _run(self) -> None:
        while not self._stop.wait(self.interval_s):
            self.beat()
            if self.is_lost:
                self._on_lost()
                main_thread = threading.main_thread().ident
                assert main_thread is not None
                signal.pthread_kill(main_thread, signal.SIGINT)
                return

    def _renew(self) -> None:
        """Renew the claim. Raises LeaseLostError unless it was still there; OSErrors at once, without a retry."""
        if self._files.read(self._path) is None:
            raise LeaseLostError(self._files.root)
        self._claim = replace(self._claim, num_beats=self._claim.num_beats + 1)
        if isinstance(self._files, LocalFiles):
            # Not flushed: it is void after a crash of the machine.
            self._files.write(self._path, self._claim.to_json(), is_flushed=False)
        else:
            self._files.write_unguarded(self._path, self._claim.to_json())
            # It may have been deleted between the two, and be back now: then the next holder's is beside it.
            self._files.require_lease()

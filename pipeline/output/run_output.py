"""The output of one run, used by the driver that holds the lease: what is done, what is left, and the commit."""

from collections.abc import Mapping

from pipeline.input.planning import Plan
from pipeline.output.commit import commit, is_committed, prune
from pipeline.output.increment import find_increment
from pipeline.output.inventory import Inventory
from pipeline.output.lease import LEASE
from pipeline.output.manifest import STAGED_RECORDS, Manifest
from pipeline.output.output_folder import FAILED, STAGED, SUCCESS, OutputFolder
from pipeline.output.success_file import write_success_file
from pipeline.storage.threads import call_in_threads


class RunOutput:
    """`inventory` and `increment` are taken at the beginning of the run, and again by `end`."""

    def __init__(
        self,
        folder: OutputFolder,
        plan: Plan,
        identity: Mapping[str, str],
        *,
        keeps_touched: bool = False,
        retries_errors: bool = False,
    ) -> None:
        self.folder = folder
        self._plan = plan
        self._identity = identity
        self._keeps_touched = keeps_touched
        self._retries_errors = retries_errors
        self._failed_files = [file.relative_path for file in plan.failed_files]
        self._take_inventory()

    def begin(self, *, prunes: bool = False) -> None:
        """Complete a commit that was interrupted. Unless everything is done, `_SUCCESS` is deleted first."""
        is_pending = not is_committed(self.inventory, self._failed_files)
        is_done = not self.increment.todo and not self._failed_files
        if is_pending or not is_done or (prunes and self.increment.removed):
            self.folder.delete(SUCCESS)
            self.folder.sync([SUCCESS])
        if is_pending:
            commit(self.inventory, self._failed_files)
        if is_pending or self._retries_errors:
            # Parts that an earlier run staged were not in its output yet, but they may have rows with errors too.
            self._take_inventory(retries_staged=self._retries_errors)
        self._delete_outdated()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the output folder."""
        return Manifest(self.folder)

    def end(self, *, prunes: bool = False, written: Mapping[str, bytes] | None = None) -> bool:
        """Commit complete files; write `_SUCCESS` if everything is done, and return whether it is.

        `written`: contents of records of parts by path, as of `part_record_file`, that this run has written since
        `begin`. Others are read.
        """
        made = self.manifest.made_folders()
        if self.increment.todo:
            self._take_inventory(written=written)
        commit(self.inventory, self._failed_files)
        if prunes:
            prune(self.inventory, self._failed_files)
        is_done = not self.increment.todo and not self._plan.failed_files
        if is_done:
            # They are empty, but exist on a local file system.
            for folder in (STAGED, STAGED_RECORDS, FAILED):
                self.folder.delete_folder(folder)
            write_success_file(self.inventory, self._identity)
        self.folder.delete_empty_folders(kept=[LEASE], made=made)
        return is_done

    def _delete_outdated(self) -> None:
        """Records first: a staged part without one is not counted."""
        records = list(self.inventory.outdated_records())
        call_in_threads(self.folder.delete, records)
        self.folder.sync(records)
        call_in_threads(self.folder.delete, self.inventory.stale)

    def _take_inventory(self, *, retries_staged: bool = False, written: Mapping[str, bytes] | None = None) -> None:
        self.inventory = Inventory(
            self.folder,
            self._plan.fragments,
            keeps_touched=self._keeps_touched,
            retries_errors=self._retries_errors,
            retries_staged=retries_staged,
            written=written,
        )
        self.increment = find_increment(self.inventory, self._failed_files)

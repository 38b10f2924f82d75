"""The one actor of a run that is there for all others: leaders, tasks and the driver."""

from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.monitoring.tallies import Tally
from pipeline.replica.leaders import Leaders

MAX_RECORD_BYTES = 64 * 2**20
"""The most bytes of records to keep, of some 130,000 parts: 90 MiB in this process, twice that while the driver
fetches them. Records beyond it are read from the store."""


class RunActor(ProgressCounter, Leaders):
    """Counts the progress, knows the leaders, and keeps records of parts for the end of the run.

    One process starts faster than two.
    """

    def __init__(self) -> None:
        ProgressCounter.__init__(self)
        Leaders.__init__(self)
        self._records: dict[str, bytes] = {}
        self._num_record_bytes = 0

    def write_part(
        self,
        part_path: str,
        num_rows: int,
        num_errors: int,
        tally: Tally,
        record: tuple[str, bytes] | None = None,
    ) -> None:
        """A part is written; `record` is path and content of its record, to be kept."""
        self.finish_part(part_path, num_rows, num_errors, tally)
        if record is None:
            return
        path, content = record
        # Of two attempts at a part; which of them was the last, the sizes in the listing tell.
        before = self._records.pop(path, b"")
        self._num_record_bytes -= len(before)
        if self._num_record_bytes + len(content) <= MAX_RECORD_BYTES:
            self._records[path] = content
            self._num_record_bytes += len(content)

    def records(self) -> dict[str, bytes]:
        """The content of each record that is kept, by path."""
        return self._records

"""The records of parts that this call has written, so that they need not be read back from an object store."""

from collections.abc import Mapping

from pipeline.output.json_records import parse_record
from pipeline.output.manifest import PartRecord


class WrittenRecords:
    """Contents of records by path, as the workers told them after writing.

    One stands for its object only if a listing shows that object in the same size: a later attempt at the fragment
    may have failed, and what it left is then deleted, or only a piece.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents
        self._listed: set[str] = set()

    def enter(self, path: str, size: int) -> None:
        """Enter one file of the listing, with its size in bytes."""
        content = self._contents.get(path)
        if content is not None and len(content) == size:
            self._listed.add(path)

    def find(self, path: str, part_size: int) -> PartRecord | None:
        """The record at `path` of a part that has `part_size` bytes; None where it has to be read."""
        record = parse_record(PartRecord, self._contents[path]) if path in self._listed else None
        return record if record is not None and record.num_bytes == part_size else None

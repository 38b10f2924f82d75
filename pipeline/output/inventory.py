"""Take the inventory of an output folder: which fragments are done, by one listing and few reads.

A fragment is done if its part is recorded, and there in its full size. If there is a record of the whole input
file, those of its parts are not read. Parts are a few numbers in arrays, so a million of them fit in memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.fragments import Fragment, PartName, part_stem, short_version
from pipeline.input.fragment_table import FragmentTable
from pipeline.output.manifest import (
    FILES,
    PARTS,
    STAGED_RECORDS,
    FileRecord,
    Manifest,
    PartRecord,
    part_record_path,
    record_path,
    staged_record_path,
)
from pipeline.output.output_folder import FAILED, STAGED, OutputFolder, shown_path, staged_path
from pipeline.output.written_records import WrittenRecords
from pipeline.row_errors import ErrorKind, num_that_may_change
from pipeline.storage.threads import map_in_threads

_NOT_THERE = -1


class Inventory:
    """The parts of a table's fragments in an output folder, and other parts and records.

    By fragment: `in_place` and `staged`, sizes in bytes or -1; `is_recorded` and `has_staged_record`; `is_done`,
    and `is_staged`, whether it is done by a staged part.
    By file: `is_known`, whether there is a record of its current version; `is_settled`, whether its parts are also
    all in place; `num_bytes`, `num_errors`, `num_tokens`, and where `has_all_counts` `num_windows` and
    `errors[:, kind]`, of the parts that are done.
    By stem, for input files that were removed or changed: `other_parts` in place, `other_records` of parts, and
    `other_files`, records of files.
    `stale`: paths of files that are not needed.
    """

    def __init__(
        self,
        folder: OutputFolder,
        table: FragmentTable,
        *,
        keeps_touched: bool = False,
        retries_errors: bool = False,
        retries_staged: bool = False,
        written: Mapping[str, bytes] | None = None,
    ) -> None:
        """List the folder.

        With `keeps_touched`, a file with the same size and footer is unchanged. With `retries_errors`, a part in
        place that has rows with an error which may change does not make its fragment done: a staged one is to
        replace it. With `retries_staged`, neither does a staged part that has such rows.
        `written` are contents of part records by path, which are not read where the listing agrees with them.
        """
        self.folder = folder
        self.table = table
        self.stems = {part_stem(file.relative_path): index for index, file in enumerate(table.files)}
        self.in_place = np.full(len(table), _NOT_THERE, dtype=np.int64)
        self.staged = np.full(len(table), _NOT_THERE, dtype=np.int64)
        self.is_recorded = np.zeros(len(table), dtype=bool)
        self.has_staged_record = np.zeros(len(table), dtype=bool)
        self.is_done = np.zeros(len(table), dtype=bool)
        self.is_staged = np.zeros(len(table), dtype=bool)
        self.is_known = np.zeros(len(table.files), dtype=bool)
        self.is_settled = np.zeros(len(table.files), dtype=bool)
        counts = np.zeros((4, len(table.files)), dtype=np.int64)
        self.num_bytes, self.num_errors, self.num_tokens, self.num_windows = counts
        self.errors = np.zeros((len(table.files), len(ErrorKind)), dtype=np.int64)
        self.other_parts: dict[str, list[PartName]] = defaultdict(list)
        self.other_records: dict[str, list[PartName]] = defaultdict(list)
        self.other_files: dict[str, FileRecord | None] = {}
        self.stale: list[str] = []
        self._keeps_touched = keeps_touched
        self._retries_errors = retries_errors
        self._retries_staged = retries_staged
        self._written = WrittenRecords(written or {})
        self._manifest = Manifest(folder)
        self.has_all_counts = self._manifest.has_all_counts()
        listed = folder.list_files(has_links=True)
        stems = [stem for path, size in listed if (stem := self._enter(path, size)) is not None]
        self._read_file_records(stems)
        self._read_part_records()
        self._drop_needless_staged()

    def slice_of(self, file_index: int) -> slice:
        """The fragments of a file, as a slice of the table."""
        return slice(int(self.table.starts[file_index]), int(self.table.starts[file_index + 1]))

    def is_complete(self, file_index: int) -> bool:
        """Whether every fragment of a file is done."""
        return bool(self.is_done[self.slice_of(file_index)].all())

    def outdated_records(self) -> Iterator[str]:
        """Records of fragments to do without a part in place (of the file at another time), and of staged parts.

        They have to go before the work, as a record has to be of the part that was written last.
        """
        for index in np.flatnonzero(self.is_recorded & (self.in_place == _NOT_THERE) & ~self.is_done):
            yield part_record_path(self.table[int(index)].part_path)
        for index in np.flatnonzero(self.has_staged_record & ~self.is_done):
            yield staged_record_path(self.table[int(index)].part_path)

    def has_parts_to_replace(self, file_index: int) -> bool:
        """Whether parts of a file as it was at another time are in place."""
        where = self.slice_of(file_index)
        is_other = (self.in_place[where] != _NOT_THERE) & (~self.is_done[where] | self.is_staged[where])
        return part_stem(self.table.files[file_index].relative_path) in self.other_parts or bool(is_other.any())

    def forget(self, stem: str) -> None:
        """Forget a removed input file after its parts and records were deleted."""
        for others in (self.other_parts, self.other_records, self.other_files):
            others.pop(stem, None)

    def _enter(self, path: str, size: int) -> str | None:
        """Enter one file of the listing; returns the stem if it is the record of an input file."""
        self._written.enter(path, size)
        if path.startswith(f"{PARTS}/"):
            index = self._find(path.removeprefix(f"{PARTS}/").removesuffix(".json"), self.other_records)
            if index is not None:
                self.is_recorded[index] = True
        elif path.startswith(f"{FILES}/"):
            return path.removeprefix(f"{FILES}/").removesuffix(".json")
        elif path.startswith((f"{STAGED}/", f"{STAGED_RECORDS}/", f"{FAILED}/")):
            self._enter_waiting(path, size)
        elif (part_path := self.folder.part_in_place(path)) is not None:
            index = self._find(part_path, self.other_parts)
            if index is not None:
                self.in_place[index] = size
        return None

    def _enter_waiting(self, path: str, size: int) -> None:
        """Enter a staged part, a record of one, or that of a failure; it is stale if it is of no fragment."""
        is_part = path.startswith(f"{STAGED}/")
        part_path = (
            shown_path(path.removeprefix(f"{STAGED}/")) if is_part else path.split("/", 2)[2][: -len(".json")]
        )
        index = self._find(part_path or "")
        if index is None:
            self.stale.append(path)
        elif is_part:
            self.staged[index] = size
        elif path.startswith(f"{STAGED_RECORDS}/"):
            self.has_staged_record[index] = True

    def _find(self, part_path: str, others: dict[str, list[PartName]] | None = None) -> int | None:
        """The index of the fragment with this part; the name of any other part is added to `others`."""
        name = PartName.parse(part_path)
        if name is None:
            return None
        file_index = self.stems.get(name.stem)
        if file_index is not None:
            fragments = self.table.indices_of(file_index)
            is_same = short_version(self.table.files[file_index].version) == name.version
            if is_same and len(fragments) == name.num_parts:
                return fragments[name.index]
        if others is not None:
            others[name.stem].append(name)
        return None

    def _read_file_records(self, stems: Sequence[str]) -> None:
        for stem, record in zip(stems, map_in_threads(self._manifest.file, stems), strict=True):
            file_index = self.stems.get(stem)
            if file_index is None or record is None or not self._speaks_for(record, file_index):
                self.other_files[stem] = record
                continue
            where = self.slice_of(file_index)
            sizes = self.in_place[where]
            self.is_known[file_index] = True
            is_to_retry = self._retries_errors and _may_change(record)
            if not is_to_retry and (sizes != _NOT_THERE).all() and sizes.sum() == record.num_bytes:
                self.is_settled[file_index] = record.input_mark == self.table.files[file_index].mark
                self.is_done[where] = True
                self._count(file_index, record)

    def _speaks_for(self, record: FileRecord, file_index: int) -> bool:
        file = self.table.files[file_index]
        now = (file.relative_path, file.version, len(self.table.indices_of(file_index)))
        is_same = now == (record.input_path, record.input_version, record.num_parts)
        return is_same and self._has_its_counts(record) and (self._keeps_touched or file.mark == record.input_mark)

    def _read_part_records(self) -> None:
        """Find the finished parts of files whose record is missing or outdated."""
        is_there = (self.in_place != _NOT_THERE) | (self.staged != _NOT_THERE)
        candidates = np.flatnonzero((self.is_recorded | self.has_staged_record) & is_there & ~self.is_done)
        file_indices = np.searchsorted(self.table.starts, candidates, side="right") - 1
        indices = [int(index) for index in candidates]
        read = map_in_threads(self._read_record, indices)
        for index, file_index, (fragment, record) in zip(indices, file_indices, read, strict=True):
            if record is None or not self._is_of(record, fragment):
                continue
            is_staged = self._has_record_of_staged(index)
            retries = self._retries_staged if is_staged else self._retries_errors
            is_to_retry = retries and _may_change(record)
            if not is_to_retry and record.num_bytes == self._size_of_part(index):
                self.is_done[index], self.is_staged[index] = True, is_staged
                self._count(file_index, record)

    def _read_record(self, index: int) -> tuple[Fragment, PartRecord | None]:
        fragment, is_staged = self.table[index], bool(self.has_staged_record[index])
        path = record_path(fragment.part_path, is_staged=is_staged)
        record = self._written.find(path, self._size_of_part(index))
        return fragment, record or self._manifest.part(fragment.part_path, is_staged=is_staged)

    def _has_record_of_staged(self, index: int) -> bool:
        """Whether the record of a fragment is of a staged part.

        Killed while it moved parts in place, a run has left records there of parts that are still staged.
        """
        return bool(self.has_staged_record[index]) or self.in_place[index] == _NOT_THERE

    def _size_of_part(self, index: int) -> int:
        """The size in bytes of the part that the record of a fragment is of."""
        return int((self.staged if self._has_record_of_staged(index) else self.in_place)[index])

    def _drop_needless_staged(self) -> None:
        """Staged parts of a file that is as it was before, or has changed again, are stale."""
        for index in np.flatnonzero((self.staged != _NOT_THERE) & ~self.is_staged):
            self.stale.append(staged_path(self.table[int(index)].part_path))
            self.staged[index] = _NOT_THERE
        for index in np.flatnonzero(self.has_staged_record & ~self.is_staged):
            self.stale.append(staged_record_path(self.table[int(index)].part_path))
            self.has_staged_record[index] = False

    def _is_of(self, record: PartRecord, fragment: Fragment) -> bool:
        now = (fragment.relative_path, fragment.version, fragment.first_row, fragment.num_rows)
        found = (record.input_path, record.input_version, record.first_row, record.num_rows)
        return (
            found == now
            and record.part_path == fragment.part_path
            and self._has_its_counts(record)
            and (self._keeps_touched or record.input_mark == fragment.mark)
        )

    def _count(self, file_index: int, record: PartRecord | FileRecord) -> None:
        self.num_bytes[file_index] += record.num_bytes
        self.num_errors[file_index] += record.num_errors
        self.num_tokens[file_index] += record.num_tokens
        self.num_windows[file_index] += record.num_windows or 0
        counts = record.errors or {}
        self.errors[file_index] += [counts.get(kind, 0) for kind in ErrorKind]

    def _has_its_counts(self, record: PartRecord | FileRecord) -> bool:
        return self.has_all_counts == (None not in (record.num_windows, record.errors))


def _may_change(record: PartRecord | FileRecord) -> bool:
    """Whether there are rows with an error that would not come again."""
    return num_that_may_change(record.num_errors, record.errors) > 0


def errors_by_kind(counts: NDArray[np.int64]) -> dict[ErrorKind, int]:
    """Numbers of rows `[kind]` by kind, without zeros."""
    return {kind: int(count) for kind, count in zip(ErrorKind, counts, strict=True) if count}

"""The inventory of an output folder: which fragments are done, by one listing and as few reads as possible.

A part that is recorded and there in its full size is done. Where a record speaks for a whole input file, those of
its parts are not read. What is kept of a part is a few numbers in arrays, so a million of them fit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.fragments import Fragment, PartName, part_stem, short_version
from pipeline.input.fragment_table import FragmentTable
from pipeline.output.manifest import FILES, PARTS, FileRecord, Manifest, PartRecord
from pipeline.output.output_folder import FAILED, STAGED, OutputFolder, shown_path, staged_path
from pipeline.storage.threads import map_in_threads

_NOT_THERE = -1


class Inventory:
    """The parts of a table's fragments that an output folder has, and whatever else lies there.

    By index in the table: `in_place` and `staged`, sizes in bytes or -1; `is_recorded`; `is_done`.
    By index of the file: `is_known`, whether a record speaks for the file as it is now; `is_settled`, whether its
    parts are also all in place; `num_bytes`, `num_errors` and `num_tokens` of its parts that are done.
    By stem, of parts that are no fragment's of the table, because their file is gone or was another:
    `other_parts` that are in place, `other_records`; and `other_files`, records of such files.
    Paths of files that nothing needs: `stale`.
    """

    def __init__(self, folder: OutputFolder, table: FragmentTable, *, keeps_touched: bool = False) -> None:
        """List the folder. With `keeps_touched`, a file of the same size and footer counts as the same."""
        self.folder = folder
        self.table = table
        self.stems = {part_stem(file.relative_path): index for index, file in enumerate(table.files)}
        self.in_place = np.full(len(table), _NOT_THERE, dtype=np.int64)
        self.staged = np.full(len(table), _NOT_THERE, dtype=np.int64)
        self.is_recorded = np.zeros(len(table), dtype=bool)
        self.is_done = np.zeros(len(table), dtype=bool)
        self._is_whole = np.zeros(len(table), dtype=bool)
        self.is_known = np.zeros(len(table.files), dtype=bool)
        self.is_settled = np.zeros(len(table.files), dtype=bool)
        self.num_bytes, self.num_errors, self.num_tokens = np.zeros((3, len(table.files)), dtype=np.int64)
        self.other_parts: dict[str, list[PartName]] = defaultdict(list)
        self.other_records: dict[str, list[PartName]] = defaultdict(list)
        self.other_files: dict[str, FileRecord | None] = {}
        self.stale: list[str] = []
        self._keeps_touched = keeps_touched
        self._manifest = Manifest(folder)
        stems = [stem for path, size in folder.list_files() if (stem := self._enter(path, size)) is not None]
        self._read_file_records(stems)
        self._read_part_records()
        self._drop_needless_staged()

    def slice_of(self, file_index: int) -> slice:
        """Where the fragments of a file are in the table."""
        return slice(int(self.table.starts[file_index]), int(self.table.starts[file_index + 1]))

    def is_complete(self, file_index: int) -> bool:
        """Whether every fragment of a file is done."""
        return bool(self.is_done[self.slice_of(file_index)].all())

    def outdated_records(self) -> Iterator[str]:
        """Part paths of the fragments to do that have a record, such as of the file as it was at another time.

        They have to go before the work: a record has to be of the part that was written last.
        """
        for index in np.flatnonzero(self.is_recorded & ~self.is_done):
            yield self.table[int(index)].part_path

    def has_parts_to_replace(self, file_index: int) -> bool:
        """Whether parts of a file as it was at another time are in place."""
        where = self.slice_of(file_index)
        is_other = (self.in_place[where] != _NOT_THERE) & ~self.is_done[where]
        return part_stem(self.table.files[file_index].relative_path) in self.other_parts or bool(is_other.any())

    def forget(self, stem: str) -> None:
        """Remove an input file that is gone, of which nothing is left in the output."""
        for others in (self.other_parts, self.other_records, self.other_files):
            others.pop(stem, None)

    def _enter(self, path: str, size: int) -> str | None:
        """Enter one file of the listing; returns the stem if it is the record of an input file."""
        if path.startswith(f"{PARTS}/"):
            self._enter_record(path.removeprefix(f"{PARTS}/").removesuffix(".json"))
        elif path.startswith(f"{FILES}/"):
            return path.removeprefix(f"{FILES}/").removesuffix(".json")
        elif path.startswith(f"{STAGED}/"):
            name = PartName.parse(shown_path(path.removeprefix(f"{STAGED}/")) or "")
            index = self._index_of(name)
            if index is None:
                self.stale.append(path)
            else:
                self.staged[index] = size
        elif path.startswith(f"{FAILED}/"):
            name = PartName.parse(path.removeprefix(f"{FAILED}/").removesuffix(".json"))
            if self._index_of(name) is None:
                self.stale.append(path)
        elif (part_path := self.folder.part_in_place(path)) is not None:
            self._enter_part(part_path, size)
        return None

    def _enter_record(self, part_path: str) -> None:
        name = PartName.parse(part_path)
        index = self._index_of(name)
        if index is not None:
            self.is_recorded[index] = True
        elif name is not None:
            self.other_records[name.stem].append(name)

    def _enter_part(self, part_path: str, size: int) -> None:
        name = PartName.parse(part_path)
        index = self._index_of(name)
        if index is not None:
            self.in_place[index] = size
        elif name is not None:
            self.other_parts[name.stem].append(name)

    def _index_of(self, name: PartName | None) -> int | None:
        """The index of the fragment that has a part of this name."""
        file_index = None if name is None else self.stems.get(name.stem)
        if name is None or file_index is None:
            return None
        fragments = self.table.indices_of(file_index)
        is_same = short_version(self.table.files[file_index].version) == name.version
        return fragments[name.index] if is_same and len(fragments) == name.num_parts else None

    def _read_file_records(self, stems: Sequence[str]) -> None:
        for stem, record in zip(stems, map_in_threads(self._manifest.file, stems), strict=True):
            file_index = self.stems.get(stem)
            if file_index is None or record is None or not self._speaks_for(record, file_index):
                self.other_files[stem] = record
                continue
            where = self.slice_of(file_index)
            sizes = self.in_place[where]
            self.is_known[file_index] = True
            if (sizes != _NOT_THERE).all() and sizes.sum() == record.num_bytes:
                self.is_settled[file_index] = record.input_mark == self.table.files[file_index].mark
                self.is_done[where] = self._is_whole[where] = True
                self._count(file_index, record)

    def _speaks_for(self, record: FileRecord, file_index: int) -> bool:
        file = self.table.files[file_index]
        now = (file.relative_path, file.version, len(self.table.indices_of(file_index)))
        is_same = now == (record.input_path, record.input_version, record.num_parts)
        return is_same and (self._keeps_touched or file.mark == record.input_mark)

    def _read_part_records(self) -> None:
        """Find the parts that are done of files whose record is missing or outdated."""
        is_there = (self.in_place != _NOT_THERE) | (self.staged != _NOT_THERE)
        candidates = np.flatnonzero(self.is_recorded & is_there & ~self.is_done)
        file_indices = np.searchsorted(self.table.starts, candidates, side="right") - 1
        fragments = (self.table[int(index)] for index in candidates)
        read = map_in_threads(lambda fragment: (fragment, self._manifest.part(fragment.part_path)), fragments)
        for index, file_index, (fragment, record) in zip(candidates, file_indices, read, strict=True):
            if record is None or not self._is_of(record, fragment):
                continue
            # The record is of the part that was written last: of the staged one, where there is one.
            where = self.staged if self.staged[index] != _NOT_THERE else self.in_place
            if record.num_bytes == where[index]:
                self.is_done[index] = True
                self._count(file_index, record)

    def _drop_needless_staged(self) -> None:
        """A file that changed and then was again as before has left parts that replace nothing."""
        for index in np.flatnonzero(self._is_whole & (self.staged != _NOT_THERE)):
            self.stale.append(staged_path(self.table[int(index)].part_path))
            self.staged[index] = _NOT_THERE

    def _is_of(self, record: PartRecord, fragment: Fragment) -> bool:
        now = (fragment.relative_path, fragment.version, fragment.first_row, fragment.num_rows)
        found = (record.input_path, record.input_version, record.first_row, record.num_rows)
        return (
            found == now
            and record.part_path == fragment.part_path
            and (self._keeps_touched or record.input_mark == fragment.mark)
        )

    def _count(self, file_index: int, record: PartRecord | FileRecord) -> None:
        self.num_bytes[file_index] += record.num_bytes
        self.num_errors[file_index] += record.num_errors
        self.num_tokens[file_index] += record.num_tokens

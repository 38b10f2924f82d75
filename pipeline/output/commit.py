"""Commit finished parts: put them in place, one whole input file at a time.

The parts of a file in place are always of one version. New parts of a changed file are staged; once all are there,
the old ones are deleted, the new ones moved in, and the file's record is written. If that is interrupted, the next
call continues. Only the run that holds the lease may call this.
"""

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.fragments import PartName, part_stem
from pipeline.output.increment import abandoned_stems, removed_stems
from pipeline.output.inventory import Inventory, errors_by_kind
from pipeline.output.manifest import FileRecord, Manifest, file_record_path, part_record_path, staged_record_path
from pipeline.output.output_folder import OutputFolder, staged_path
from pipeline.storage.threads import call_in_threads


def commit(inventory: Inventory, failed_files: Collection[str] = ()) -> None:
    """Put the parts of complete files in place; delete what they replace, what is stale, and the parts of files
    that left the input before they were done."""
    folder = inventory.folder
    complete = [index for index in range(len(inventory.table.files)) if inventory.is_complete(index)]
    for file_index in complete:
        if _stem(inventory, file_index) in inventory.other_parts or _staged(inventory, file_index).size:
            _put_in_place(inventory, file_index)
    manifest = Manifest(folder)
    unsettled = (index for index in complete if not inventory.is_settled[index])
    call_in_threads(lambda index: manifest.record_file(*_file_record(inventory, index)), unsettled)
    stems = [_stem(inventory, index) for index in complete]
    _delete_records(folder, (name for stem in stems for name in inventory.other_records.get(stem, ())))
    call_in_threads(folder.delete, inventory.stale)
    _delete_files(inventory, abandoned_stems(inventory, failed_files))


def is_committed(inventory: Inventory, failed_files: Collection[str] = ()) -> bool:
    """Whether `commit` would change nothing."""
    if inventory.stale or abandoned_stems(inventory, failed_files) or inventory.is_staged.any():
        return False
    stems = {*inventory.other_parts, *inventory.other_records}
    return all(
        inventory.is_settled[index] and _stem(inventory, index) not in stems
        for index in range(len(inventory.table.files))
        if inventory.is_complete(index)
    )


def prune(inventory: Inventory, failed_files: Collection[str] = ()) -> None:
    """Delete the parts and records of files that are no input any more."""
    _delete_files(inventory, removed_stems(inventory, failed_files))


def _delete_files(inventory: Inventory, stems: Collection[str]) -> None:
    folder = inventory.folder
    for stem in sorted(stems):
        # Also parts of which only the record is left, as their folder may be left too.
        _delete_parts(folder, {*inventory.other_parts.get(stem, ()), *inventory.other_records.get(stem, ())})
        _delete_records(folder, inventory.other_records.get(stem, ()))
        # Last, as it is how the others are found.
        folder.delete(file_record_path(stem))
        inventory.forget(stem)


def _put_in_place(inventory: Inventory, file_index: int) -> None:
    """Delete the parts of a file as it was before, then move in those that are staged.

    Each step is on the disk before the next one: first the record goes, which spoke for the old parts.
    """
    folder, stem = inventory.folder, _stem(inventory, file_index)
    record_path = file_record_path(stem)
    folder.delete(record_path)
    folder.sync([record_path])
    staged = _staged(inventory, file_index)
    new = [inventory.table[int(index)].part_path for index in staged]
    replaced = [path for path, index in zip(new, staged, strict=True) if inventory.in_place[index] >= 0]
    old = [folder.path_in_place(path) for path in [*_paths_of_others(inventory, stem), *replaced]]
    call_in_threads(folder.delete, old)
    folder.sync(old)
    records = [inventory.table[int(index)].part_path for index in staged if inventory.has_staged_record[index]]
    call_in_threads(lambda path: folder.move(staged_record_path(path), part_record_path(path)), records)
    folder.sync(map(part_record_path, records))
    call_in_threads(lambda path: folder.move(staged_path(path), folder.path_in_place(path)), new)
    folder.sync(map(folder.path_in_place, new))


def _staged(inventory: Inventory, file_index: int) -> NDArray[np.int64]:
    """The fragments of a file whose parts are staged."""
    where = inventory.slice_of(file_index)
    return where.start + np.flatnonzero(inventory.is_staged[where])


def _file_record(inventory: Inventory, file_index: int) -> tuple[str, FileRecord]:
    file, where = inventory.table.files[file_index], inventory.slice_of(file_index)
    record = FileRecord(
        input_path=file.relative_path,
        input_version=file.version,
        input_mark=file.mark,
        num_parts=len(inventory.table.indices_of(file_index)),
        num_rows=int(inventory.table.num_rows[where].sum()),
        num_bytes=int(inventory.num_bytes[file_index]),
        num_errors=int(inventory.num_errors[file_index]),
        num_tokens=int(inventory.num_tokens[file_index]),
        num_windows=int(inventory.num_windows[file_index]) if inventory.has_all_counts else None,
        errors=errors_by_kind(inventory.errors[file_index]) if inventory.has_all_counts else None,
    )
    return _stem(inventory, file_index), record


def _stem(inventory: Inventory, file_index: int) -> str:
    return part_stem(inventory.table.files[file_index].relative_path)


def _paths_of_others(inventory: Inventory, stem: str) -> list[str]:
    return [name.path for name in inventory.other_parts.get(stem, ())]


def _delete_parts(folder: OutputFolder, names: Iterable[PartName]) -> None:
    call_in_threads(lambda name: folder.delete(folder.path_in_place(name.path)), names)


def _delete_records(folder: OutputFolder, names: Iterable[PartName]) -> None:
    call_in_threads(lambda name: folder.delete(part_record_path(name.path)), names)

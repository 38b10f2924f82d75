"""Compare the input with that of the existing output: new, changed, unchanged and removed files."""

from collections.abc import Collection, Container
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from pipeline.fragments import Fragment, PartName, part_stem
from pipeline.input.fragment_table import FragmentSelection
from pipeline.output.inventory import Inventory, errors_by_kind
from pipeline.row_errors import LASTING
from pipeline.storage.printable import number_of, shortened


@dataclass(frozen=True)
class Increment:
    """The input files by relative path, compared with the existing output.

    Attributes:
        new: files without parts of an earlier version, which are not complete yet.
        changed: files with parts of an earlier version, which stay until all new ones are there.
        touched: those of `changed` that differ in modification time or ETag only.
        unchanged: files that are complete.
        removed: files with parts in the output that are no input any more.
        todo: the fragments without a finished part.
        staged: files whose new parts are hidden until all of them are there.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    touched: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    todo: FragmentSelection
    staged: frozenset[str]

    def to_retry(self, failed: Container[str]) -> list[Fragment]:
        """The fragments whose part paths are in `failed`; of a staged file with one of them all that are not done.

        Staged parts wait for one another: a file that was restored after a failure has another modification time.
        """
        retried = [fragment for fragment in self.todo if fragment.part_path in failed]
        whole = self.staged.intersection(fragment.relative_path for fragment in retried)
        return [f for f in self.todo if f.relative_path in whole or f.part_path in failed]


def find_increment(inventory: Inventory, failed_files: Collection[str] = ()) -> Increment:
    """Compare the current input with an output.

    `failed_files`: relative paths of unreadable input files and folders, which do not count as removed.
    """
    new, changed, touched, unchanged, staged = [], [], [], [], []
    for file_index, file in enumerate(inventory.table.files):
        stem, path = part_stem(file.relative_path), file.relative_path
        before = inventory.other_files.get(stem)
        if before is not None or stem in inventory.other_parts or stem in inventory.other_records:
            changed.append(path)
            if before is not None and before.input_version == file.version:
                touched.append(path)
        elif inventory.is_known[file_index]:
            unchanged.append(path)
        else:
            new.append(path)
        if inventory.has_parts_to_replace(file_index):
            staged.append(path)
    return Increment(
        new=tuple(new),
        changed=tuple(changed),
        touched=tuple(touched),
        unchanged=tuple(unchanged),
        removed=tuple(sorted(_input_path(inventory, stem) for stem in removed_stems(inventory, failed_files))),
        todo=FragmentSelection(inventory.table, np.flatnonzero(~inventory.is_done)),
        staged=frozenset(staged),
    )


def describe_increment(increment: Increment, *, prunes: bool = False) -> str | None:
    """A message about new, changed and removed files; None for a new output, or if there are none."""
    if not (increment.changed or increment.removed or (increment.new and increment.unchanged)):
        return None
    counts = (
        f"input: {number_of(len(increment.new), 'file')} new, {len(increment.changed):,} changed, "
        f"{len(increment.unchanged):,} unchanged, {len(increment.removed):,} removed"
    )
    if not increment.removed:
        return counts
    fate = "are deleted" if prunes else "are kept, --prune-removed deletes them"
    return f"{counts}: {shortened(increment.removed)} (their parts {fate})"


def describe_lasting_errors(inventory: Inventory) -> str | None:
    """A message about rows whose errors no retry changes; None if there are none."""
    counts = errors_by_kind(inventory.errors.sum(axis=0))
    lasting = {kind: count for kind, count in counts.items() if kind in LASTING}
    if not lasting:
        return None
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in lasting.items())
    rows = number_of(sum(lasting.values()), "row with an error is", "rows with errors are")
    return f"--retry-errors: {rows} left as before, since the input causes the error ({kinds})"


def removed_stems(inventory: Inventory, failed_files: Collection[str] = ()) -> set[str]:
    """Stems of the parts of files that are no input any more."""
    found = {*inventory.other_files, *inventory.other_parts, *inventory.other_records}
    others = found - inventory.stems.keys() - {part_stem(path) for path in failed_files}
    unreadable = set(failed_files)
    return {stem for stem in others if unreadable.isdisjoint(map(str, PurePosixPath(stem).parents))}


def abandoned_stems(inventory: Inventory, failed_files: Collection[str] = ()) -> set[str]:
    """Of removed files those that were never done: some of their parts are missing, and no record was written."""
    stems = removed_stems(inventory, failed_files) - inventory.other_files.keys()
    return {stem for stem in stems if not _is_whole(inventory.other_parts.get(stem, ()))}


def _is_whole(names: Collection[PartName]) -> bool:
    """Whether these are all parts of one version of a file."""
    kinds = {(name.version, name.num_parts) for name in names}
    return len(kinds) == 1 and len(names) == next(iter(kinds))[1]


def _input_path(inventory: Inventory, stem: str) -> str:
    record = inventory.other_files.get(stem)
    return stem if record is None else record.input_path

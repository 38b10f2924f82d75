"""Compare the input with what the output was made of: new, changed, unchanged and removed files."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.fragments import PartName, part_stem
from pipeline.input.fragment_table import FragmentSelection
from pipeline.output.inventory import Inventory
from pipeline.storage.printable import printable

_MAX_SHOWN = 10


@dataclass(frozen=True)
class Increment:
    """The input files by relative path, compared with what the output was made of.

    Attributes:
        new: files that the output has nothing of, or was not yet done with.
        changed: files that the output has parts of as they were before; those stay until all new ones are there.
        touched: those of `changed` whose size and footer are the same, and only the time or ETag is another.
        unchanged: files that the output is up to date with.
        removed: files that the output has parts of and that are no input any more.
        todo: the fragments without a finished part.
        staged: files whose new parts are not to be seen before all of them are there.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    touched: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    todo: FragmentSelection
    staged: frozenset[str]


def find_increment(inventory: Inventory, failed_files: Collection[str] = ()) -> Increment:
    """What an output lacks of the present input.

    `failed_files` are relative paths of input files, or of folders with such files, that cannot be read now: they
    are not removed.
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
    """A line for people about new, changed and removed files; None for a new output, or if there are none."""
    if not (increment.changed or increment.removed or (increment.new and increment.unchanged)):
        return None
    counts = (
        f"input: {len(increment.new):,} files new, {len(increment.changed):,} changed, "
        f"{len(increment.unchanged):,} unchanged, {len(increment.removed):,} removed"
    )
    if not increment.removed:
        return counts
    fate = "are deleted" if prunes else "are kept, --prune-removed deletes them"
    return f"{counts}: {shown_paths(increment.removed)} (their parts {fate})"


def shown_paths(paths: Sequence[str]) -> str:
    """The first few paths as they may be printed, and how many more there are."""
    more = f" and {len(paths) - _MAX_SHOWN:,} more" if len(paths) > _MAX_SHOWN else ""
    return ", ".join(printable(path) for path in paths[:_MAX_SHOWN]) + more


def removed_stems(inventory: Inventory, failed_files: Collection[str] = ()) -> set[str]:
    """Stems of the parts of files that are no input any more."""
    found = {*inventory.other_files, *inventory.other_parts, *inventory.other_records}
    others = found - inventory.stems.keys() - {part_stem(path) for path in failed_files}
    unreadable = set(failed_files)
    return {stem for stem in others if not unreadable.intersection(_folders_above(stem))}


def abandoned_stems(inventory: Inventory, failed_files: Collection[str] = ()) -> set[str]:
    """Of removed files those that were never done: some of their parts are missing, and no record was written."""
    stems = removed_stems(inventory, failed_files) - inventory.other_files.keys()
    return {stem for stem in stems if not _is_whole(inventory.other_parts.get(stem, ()))}


def _is_whole(names: Collection[PartName]) -> bool:
    """Whether these are all parts of one version of a file."""
    kinds = {(name.version, name.num_parts) for name in names}
    return len(kinds) == 1 and len(names) == next(iter(kinds))[1]


def _folders_above(path: str) -> Iterator[str]:
    """The folders of a relative path, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _input_path(inventory: Inventory, stem: str) -> str:
    record = inventory.other_files.get(stem)
    return stem if record is None else record.input_path

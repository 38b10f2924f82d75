"""Choose the subsets of a benchmark (languages) and its split among those that are there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from jobs.evaluate.data.files import FIELD, DataFile, DataFiles, files_of_split
from jobs.evaluate.examples import WHOLE, BenchmarkTask
from pipeline.errors import InputError
from pipeline.storage.printable import printable, shortened

WANTED_FIELD, SPLIT_FIELD = "--languages", "--split"
_MAX_SHOWN = 20


def folder_names(subsets: Iterable[str], *patterns: str) -> dict[str, tuple[str, ...]]:
    """By subset, the names that its folder may have: each pattern, such as "xquad.{}", with the subset in it."""
    return {subset: tuple(pattern.format(subset) for pattern in patterns) for subset in subsets}


@dataclass(frozen=True)
class SubsetFolders:
    """A benchmark whose subsets lie in folders of their own, or in files `SPLIT.SUBSET-….parquet` in `--data`.

    Attributes:
        benchmark: its name, for messages.
        names: by subset, in the order in which they are printed, the names that its folder may have.
        or_top: whether files in `--data` itself are of the (only) subset, whatever the name of the folder.
    """

    benchmark: str
    names: Mapping[str, Sequence[str]]
    or_top: bool = False

    @classmethod
    def whole(cls, benchmark: str, *names: str, or_top: bool = False) -> Self:
        """One folder for a task without parts."""
        return cls(benchmark, {WHOLE: names}, or_top)

    def splits(self, files: DataFiles) -> tuple[str, ...]:
        """The splits of all subsets that are there, sorted."""
        found = {file.split for names in self.names.values() for file in files.of_config(names)}
        for file in files.at_top:
            split, _, subset = file.split.partition(".")
            found |= {split} if subset in self.names else {file.split} if self.or_top else set()
        return tuple(sorted(found))

    def find(self, files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, list[DataFile]]:
        """The files of a split by subset: those wanted, or all that are there. Raises InputError."""
        found = self.of_split(files, split)
        chosen = choose_subsets(self.benchmark, found, self.names, wanted, files, split)
        if not chosen:
            example = next(iter(self.names.values()))[0]
            raise no_files(files, split, f"{example}/{split}-00000-of-00001.parquet")
        return {subset: found[subset] for subset in chosen}

    def of_split(self, files: DataFiles, split: str) -> dict[str, list[DataFile]]:
        """The files of a split by subset, for all that are there. Raises InputError if shards are missing."""
        found = {subset: self._of_subset(files, split, subset) for subset in self.names}
        return {subset: chosen for subset, chosen in found.items() if chosen}

    def _of_subset(self, files: DataFiles, split: str, subset: str) -> list[DataFile]:
        at_top = files.at_top
        return (
            files_of_split(files.of_config(self.names[subset]), split)
            or files_of_split(at_top, f"{split}.{subset}")
            or files_of_split(at_top if self.or_top else [], split)
        )


def choose_subsets(
    benchmark: str,
    found: Iterable[str],
    known: Iterable[str],
    wanted: Sequence[str] | None,
    files: DataFiles,
    split: str,
) -> list[str]:
    """The subsets to read of those `found`, in the order of `known`.

    Raises InputError if one that is wanted is not known, or not there.
    """
    known, there = list(known), set(found)
    for name in wanted or ():
        if name not in known:
            raise InputError(
                f"{WANTED_FIELD}: found {printable(name)!r}, which {benchmark} does not have; expected some of "
                f"{shortened(known, _MAX_SHOWN)}; leave it out"
            )
        if name not in there:
            those = shortened([subset for subset in known if subset in there], _MAX_SHOWN) or "none"
            raise InputError(
                f"{WANTED_FIELD}: found {name!r}, of which {FIELD} {files.location} has no split "
                f"{printable(split)!r}; expected some of those there: {those}; leave it out, or fetch its files"
            )
    return [subset for subset in known if subset in there and (wanted is None or subset in wanted)]


def no_files(files: DataFiles, split: str, example: str) -> InputError:
    """The error that a split is nowhere; `example` is where it is expected below `--data`."""
    return InputError(
        f"{FIELD}: {files.location} has no files of split {printable(split)!r} where they are expected: found "
        f"{files.shown}; expected, for example, {example}; name the folder of the benchmark, or another split"
    )


def choose_split(task: BenchmarkTask, files: DataFiles, asked: str | None) -> str:
    """The split of a task to evaluate: the one asked for, else the first of its defaults that is there.

    Raises InputError if there is no such split. If there are no files of the task, reading them says so.
    """
    there = task.splits(files)
    if asked is None:
        found = next((split for split in task.default_splits if split in there), None)
        if found is not None or not there:
            return found or task.default_splits[0]
    elif asked in there or not there:
        return asked
    default = " or ".join(task.default_splits)
    raise InputError(
        f"{SPLIT_FIELD}: found {default if asked is None else printable(asked)}, which the files of {task.name} "
        f"in {FIELD} {files.location} do not have; expected one of {shortened(there, _MAX_SHOWN)}; name one of "
        "them, or fetch its files"
    )

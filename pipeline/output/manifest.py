"""The manifest of an output: the run that it belongs to and what is done, as small JSON files in `_manifest/`.

`run.json` has the identity of the run. `parts/PART.json` is written after a part, and makes its fragment done.
`files/FILE.json` is written once all parts of an input file are in place, so that the records of its parts need
not be read. All of them are deterministic.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from pipeline.errors import ConfigError
from pipeline.output.json_records import Count, parse_record, record_json
from pipeline.output.other_run import refuse_other_run
from pipeline.output.output_folder import FAILED, MANIFEST, PART_SUFFIX, STAGED, SUCCESS, OutputFolder
from pipeline.row_errors import ErrorKind
from pipeline.storage.printable import number_of

RUN = f"{MANIFEST}/run.json"
PARTS = f"{MANIFEST}/parts"
FILES = f"{MANIFEST}/files"
STAGED_RECORDS = f"{MANIFEST}/staged"
"""Records of staged parts: those in `PARTS` speak for what is in place until it is replaced."""
FORMAT = 2
"""Of outputs that are begun now. Those of format 1 go on as they were begun: their records count no windows and no
kinds of errors, and the schemas of their parts have no metadata."""
_FORMATS = (1, FORMAT)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The run that a folder belongs to: named values that identify it, and what "auto" came to when it began."""

    format: int
    identity: dict[str, str]
    dtype: str | None = None
    token_budget: Annotated[int, Field(ge=1, le=2**31)] | None = None
    max_fragment_rows: Annotated[int, Field(ge=1, le=2**31)] | None = None


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One finished part: its input, its content, and the versions of the code and libraries that made it.

    `input_version` and `input_mark` are those of `Fragment`; `num_bytes` and `sha256` are of the part file.
    `num_windows` and `errors`, rows by kind, are None in outputs of format 1.
    """

    part_path: str
    input_path: str
    input_version: str
    input_mark: str
    first_row: Count
    num_rows: Count
    num_bytes: Count
    sha256: str
    num_errors: Count
    num_tokens: Count
    versions: dict[str, str]
    num_windows: Count | None = None
    errors: dict[ErrorKind, Count] | None = None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One input file whose parts are all in place, with sums over them; some None as of `PartRecord`."""

    input_path: str
    input_version: str
    input_mark: str
    num_parts: Count
    num_rows: Count
    num_bytes: Count
    num_errors: Count
    num_tokens: Count
    num_windows: Count | None = None
    errors: dict[ErrorKind, Count] | None = None


@dataclass(frozen=True)
class Manifest:
    """The manifest of one output folder; stateless."""

    folder: OutputFolder

    def identity(self) -> dict[str, str] | None:
        """The identity of the run that the folder belongs to; None where it belongs to none.

        Raises ConfigError where that cannot be told.
        """
        run = self._run()
        return None if run is None else run.identity

    def begin(self, identity: Mapping[str, str], *, max_fragment_rows: int | None = None) -> bool:
        """Begin the run with this identity, or continue it, and then return True.

        `max_fragment_rows`: what "auto" comes to in a run that is begun.

        Raises ConfigError if the folder belongs to another run that has left something, or has Parquet files but
        no run.
        """
        found = self.identity()
        if found == dict(identity):
            return True
        if found is None:
            self.refuse_foreign_files()
        elif not self.can_be_taken_over():
            refuse_other_run(self.folder.root, found, identity)
        self.folder.put(RUN, record_json(RunRecord(FORMAT, dict(identity), max_fragment_rows=max_fragment_rows)))
        return False

    def can_be_taken_over(self) -> bool:
        """Whether the run of a local folder has left nothing in it, as it was refused before its first part.

        Not in a store, where a part of that run may still land late.
        """
        return self.folder.is_local and not any(map(_is_result, self.folder.list_files()))

    def has_all_counts(self) -> bool:
        """Whether the run counts windows and kinds of errors, as those do that are begun now."""
        run = self._run()
        return run is None or run.format > 1

    def token_budget(self) -> int | None:
        """The token budget that the run was begun with; None where it has computed nothing yet."""
        run = self._run()
        return None if run is None else run.token_budget

    def max_fragment_rows(self, identity: Mapping[str, str]) -> int | None:
        """What "auto" came to when the run with this identity was begun; None if it was not, or for a number."""
        run = self._run()
        return run.max_fragment_rows if run is not None and run.identity == dict(identity) else None

    def settle(self, *, dtype: str, token_budget: int) -> None:
        """Record what "auto" stands for on this cluster, so that all parts are computed alike.

        Raises ConfigError if the run was begun in another dtype.
        """
        run = self._run()
        assert run is not None, "the run has begun"
        if run.dtype is None:
            self.folder.put(RUN, record_json(replace(run, dtype=dtype, token_budget=token_budget)))
        elif run.dtype != dtype:
            raise ConfigError(
                f"model.dtype: found {dtype}, which auto comes to on this cluster, expected {run.dtype}, which "
                f"{self.folder.root} was begun with; go on with hardware like that, choose another output.path, "
                "or add --restart to do all of it anew"
            )

    def refuse_foreign_files(self) -> None:
        """Raise ConfigError if a folder without a run has Parquet files."""
        foreign = sorted(path for path, _ in self.folder.list_files() if path.endswith(".parquet"))
        if foreign:
            raise ConfigError(
                f"output.path: {self.folder.root} holds {number_of(len(foreign), 'Parquet file')} that no run of "
                f"this pipeline accounts for, such as {foreign[0]}, expected an empty or a new folder; "
                "choose another output, or remove the files"
            )

    def announce(self, part_path: str) -> None:
        """Create the folder of a part's record, before that of the part, to mark both as made by a run."""
        self.folder.make_folder(part_record_path(part_path).rpartition("/")[0])

    def made_folders(self) -> set[str]:
        """All local folders that runs have made: those of the manifest, and folders of parts with equal names."""
        own = {f"{folder}/{path}" for folder in (MANIFEST, STAGED) for path in self.folder.folders_below(folder)}
        records = (f"{PARTS}/", f"{FILES}/")
        parts = {path.removeprefix(folder) for folder in records for path in own if path.startswith(folder)}
        return own | parts | {STAGED}

    def record(self, part: PartRecord, *, is_staged: bool = False) -> None:
        """Record that a part is finished, after writing it. Raises OutputError."""
        self.folder.put(*part_record_file(part, is_staged=is_staged))

    def part(self, part_path: str, *, is_staged: bool = False) -> PartRecord | None:
        """The record of a part in place, or of a staged one; None if it is missing or damaged."""
        return parse_record(PartRecord, self.folder.read(record_path(part_path, is_staged=is_staged)))

    def record_file(self, stem: str, file: FileRecord) -> None:
        """Record that all parts of an input file are in place; `stem` is the common start of their names."""
        self.folder.put(file_record_path(stem), record_json(file))

    def file(self, stem: str) -> FileRecord | None:
        """The record of an input file; None as for parts."""
        return parse_record(FileRecord, self.folder.read(file_record_path(stem)))

    def _run(self) -> RunRecord | None:
        """The record of the run; None where there is none. Raises ConfigError where it cannot be read."""
        data = self.folder.read(RUN)
        if data is None:
            return None
        run = parse_record(RunRecord, data)
        if run is not None and run.format in _FORMATS:
            return run
        found = (
            "is damaged" if run is None else f"has format {run.format}, expected {' or '.join(map(str, _FORMATS))}"
        )
        raise ConfigError(
            f"output.path: {self.folder.root}/{RUN} {found}; restore it, choose another output, or remove the "
            "folder"
        )


def _is_result(entry: tuple[str, int]) -> bool:
    """Whether a file of the listing is a part, or a record of what was done or has failed."""
    path, _ = entry
    folders = (f"{PARTS}/", f"{FILES}/", f"{STAGED_RECORDS}/", f"{STAGED}/", f"{FAILED}/")
    return path == SUCCESS or path.endswith(PART_SUFFIX) or path.startswith(folders)


def run_digest(identity: Mapping[str, str]) -> str:
    """A short name for an identity: the SHA-256 (hex) of its values."""
    return hashlib.sha256(json.dumps(sorted(identity.items())).encode()).hexdigest()


def part_record_path(part_path: str) -> str:
    """The path of a part's record."""
    return f"{PARTS}/{part_path}.json"


def staged_record_path(part_path: str) -> str:
    """Where the record of a staged part is."""
    return f"{STAGED_RECORDS}/{part_path}.json"


def record_path(part_path: str, *, is_staged: bool) -> str:
    """The path of the record of a part in place, or of a staged one."""
    return staged_record_path(part_path) if is_staged else part_record_path(part_path)


def part_record_file(part: PartRecord, *, is_staged: bool) -> tuple[str, bytes]:
    """Path and content of the record of a part in place, or of a staged one."""
    return record_path(part.part_path, is_staged=is_staged), record_json(part)


def file_record_path(stem: str) -> str:
    """The path of an input file's record."""
    return f"{FILES}/{stem}.json"

"""The manifest of an output: the run that it belongs to and what is done, as small JSON files in `_manifest/`.

`run.json` has the identity of the run. `parts/PART.json` is written after a part, and makes its fragment done.
`files/FILE.json` is written once all parts of an input file are in place, so that the records of its parts need
not be read. All of them are deterministic.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.output.json_records import decode_record, encode_json
from pipeline.output.other_run import refuse_other_run
from pipeline.output.output_folder import MANIFEST, STAGED, OutputFolder

RUN = f"{MANIFEST}/run.json"
PARTS = f"{MANIFEST}/parts"
FILES = f"{MANIFEST}/files"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One finished part: its input, its content, and the versions of the code and libraries that made it.

    `input_version` and `input_mark` are those of `Fragment`; `num_bytes` and `sha256` are of the part file.
    """

    part_path: str
    input_path: str
    input_version: str
    input_mark: str
    first_row: int
    num_rows: int
    num_bytes: int
    sha256: str
    num_errors: int
    num_tokens: int
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One input file whose parts are all in place, with sums over them."""

    input_path: str
    input_version: str
    input_mark: str
    num_parts: int
    num_rows: int
    num_bytes: int
    num_errors: int
    num_tokens: int


@dataclass(frozen=True)
class Manifest:
    """The manifest of one output folder; stateless."""

    folder: OutputFolder

    def identity(self) -> dict[str, str] | None:
        """The identity of the run that the folder belongs to, or None. Raises ConfigError if it is damaged."""
        text = self.folder.read(RUN)
        if text is None:
            return None
        try:
            run: Any = json.loads(text)
            if run["format"] == FORMAT:
                return dict(run["identity"])
            found = f"has format {run['format']}, expected {FORMAT}"
        except (ValueError, KeyError, TypeError):
            found = "is damaged"
        raise ConfigError(
            f"output.path: {self.folder.root}/{RUN} {found}; restore it, choose another output, or remove the "
            "folder"
        )

    def begin(self, identity: Mapping[str, str]) -> bool:
        """Begin the run with this identity, or continue it, and then return True.

        Raises ConfigError if the folder belongs to another run, or has Parquet files but no run.
        """
        found = self.identity()
        if found is None:
            self.refuse_foreign_files()
            self.folder.put(RUN, encode_json({"format": FORMAT, "identity": dict(identity)}))
            return False
        refuse_other_run(self.folder.root, found, identity)
        return True

    def token_budget(self) -> int | None:
        """The token budget that the run was begun with; None if it has not computed anything yet."""
        run = json.loads(self.folder.read(RUN) or b"{}")
        found: int | None = run.get("token_budget")
        return found

    def settle(self, *, dtype: str, token_budget: int) -> None:
        """Record what "auto" stands for on this cluster, so that all parts are computed alike.

        Raises ConfigError if the run was begun in another dtype.
        """
        run = json.loads(self.folder.read(RUN) or b"")
        if "dtype" not in run:
            self.folder.put(RUN, encode_json(run | {"dtype": dtype, "token_budget": token_budget}))
        elif run["dtype"] != dtype:
            raise ConfigError(
                f"model.dtype: found {dtype}, which auto stands for on this cluster, expected {run['dtype']}, "
                f"with which {self.folder.root} was begun; continue on similar hardware, choose another "
                "output.path, or add --restart to compute everything again"
            )

    def refuse_foreign_files(self) -> None:
        """Raise ConfigError if a folder without a run has Parquet files."""
        foreign = sorted(path for path, _ in self.folder.list_files() if path.endswith(".parquet"))
        if foreign:
            raise ConfigError(
                f"output.path: {self.folder.root} holds {len(foreign)} Parquet files that no run of this "
                f"pipeline accounts for, such as {foreign[0]}, expected an empty or a new folder; "
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

    def record(self, part: PartRecord) -> None:
        """Record that a part is finished, after writing it. Raises OutputError."""
        self.folder.put(part_record_path(part.part_path), encode_json(asdict(part)))

    def part(self, part_path: str) -> PartRecord | None:
        """The record of a part; None if it is missing or damaged."""
        return decode_record(PartRecord, self.folder.read(part_record_path(part_path)))

    def record_file(self, stem: str, file: FileRecord) -> None:
        """Record that all parts of an input file are in place."""
        self.folder.put(file_record_path(stem), encode_json(asdict(file)))

    def file(self, stem: str) -> FileRecord | None:
        """The record of an input file; None if it is missing or damaged."""
        return decode_record(FileRecord, self.folder.read(file_record_path(stem)))


def part_record_path(part_path: str) -> str:
    """The path of a part's record."""
    return f"{PARTS}/{part_path}.json"


def file_record_path(stem: str) -> str:
    """The path of an input file's record."""
    return f"{FILES}/{stem}.json"

"""What is done, for which run: small JSON files under `_manifest/` in the output folder.

`run.json` says which run the folder belongs to; `parts/PART.json` is written once a part is in
place, and is what makes its fragment done.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from pipeline.errors import ConfigError, InputError
from pipeline.fragments import Fragment
from pipeline.storage import put_file

MANIFEST = "_manifest"
_RUN = f"{MANIFEST}/run.json"
_PARTS = f"{MANIFEST}/parts"
_NUM_THREADS = 32
_MAX_SHOWN = 10


@dataclass(frozen=True)
class PartRecord:
    """One finished part: what it was made of, and what it holds.

    `num_bytes` and `sha256` are of the part file; `seconds` is the time that the fragment took,
    where it is known.
    """

    part_path: str
    input_path: str
    input_version: str
    first_row: int
    num_rows: int
    num_bytes: int
    sha256: str
    num_errors: int
    num_tokens: int
    seconds: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The manifest of one output folder, `root` on a file system. Holds no state of its own."""

    filesystem: fs.FileSystem
    root: str

    def open_run(self, identity: Mapping[str, str]) -> bool:
        """Begin the run with this identity (named digests), or continue it; True where it goes on.

        Raises ConfigError where the folder belongs to another run, naming what differs, or holds
        Parquet files of no run.
        """
        text = self._read(_RUN)
        if text is None:
            self._refuse_foreign_files()
            put_file(self.filesystem, self.root, _RUN, _json({"identity": dict(identity)}))
            return False
        try:
            found = json.loads(text)["identity"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"output.path: {self.root}/{_RUN} is damaged; restore it, choose another output, "
                "or remove the folder"
            ) from None
        names = dict.fromkeys([*found, *identity])
        different = [name for name in names if found.get(name) != identity.get(name)]
        if different:
            raise ConfigError(
                f"output.path: {self.root} belongs to another run, which differs in "
                f"{', '.join(different)}; choose another output, or remove the folder to start anew"
            )
        return True

    def record(self, part: PartRecord) -> None:
        """Say that a part is finished. Its file must be in place. Raises OutputError."""
        path = f"{_PARTS}/{part.part_path}.json"
        put_file(self.filesystem, self.root, path, _json(asdict(part)))

    def finished(self) -> dict[str, PartRecord]:
        """Records of the finished parts by part path: those whose file is there, in its full size."""
        sizes = self._file_sizes()
        prefix, suffix = f"{_PARTS}/", ".json"
        recorded = [
            path
            for path in sorted(sizes)
            if path.startswith(prefix) and path.endswith(suffix) and path[len(prefix) : -len(suffix)] in sizes
        ]
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            records = pool.map(lambda path: _parsed(self._read(path)), recorded)
        return {
            record.part_path: record
            for path, record in zip(recorded, records, strict=True)
            if record is not None
            and f"{prefix}{record.part_path}{suffix}" == path
            and sizes[record.part_path] == record.num_bytes
        }

    def _file_sizes(self) -> dict[str, int]:
        """Size in bytes of every file under the root, by path relative to it."""
        selector = fs.FileSelector(self.root, recursive=True, allow_not_found=True)
        prefix_size = len(self.root.rstrip("/")) + 1
        return {
            info.path[prefix_size:]: info.size
            for info in self.filesystem.get_file_info(selector)
            if info.type == fs.FileType.File
        }

    def _refuse_foreign_files(self) -> None:
        foreign = sorted(path for path in self._file_sizes() if path.endswith(".parquet"))
        if foreign:
            raise ConfigError(
                f"output.path: {self.root} holds {len(foreign)} Parquet files that no run of this "
                f"pipeline accounts for, such as {foreign[0]}, expected an empty or a new folder; "
                "choose another output, or remove the files"
            )

    def _read(self, path: str) -> str | None:
        try:
            with self.filesystem.open_input_file(f"{self.root}/{path}") as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None


def remaining_fragments(fragments: Iterable[Fragment], finished: Mapping[str, PartRecord]) -> list[Fragment]:
    """The fragments that are not finished.

    Raises InputError where parts are finished of a file that has since changed, or that is now cut
    into other fragments: those parts no longer fit beside the rest.
    """
    fragments = list(fragments)
    by_part = {fragment.part_path: fragment for fragment in fragments}
    inputs = {fragment.relative_path for fragment in fragments}
    changed: dict[str, None] = {}
    for part_path, record in finished.items():
        fragment = by_part.get(part_path)
        if fragment is None:
            is_changed = record.input_path in inputs
        else:
            now = (fragment.version, fragment.first_row, fragment.num_rows)
            is_changed = now != (record.input_version, record.first_row, record.num_rows)
        if is_changed:
            changed[record.input_path] = None
    if changed:
        raise InputError(_changed_message(list(changed)))
    return [fragment for fragment in fragments if fragment.part_path not in finished]


def content_digest(paths: Iterable[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files, in any order, wherever they lie.

    Files are read as streams, several at a time. Raises OSError where one cannot be read.
    """
    paths = list(paths)
    with ThreadPoolExecutor(4) as pool:
        digests = pool.map(_file_digest, paths)
        files = sorted(zip((path.name for path in paths), digests, strict=True))
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed_message(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_MAX_SHOWN])
    more = f" and {len(paths) - _MAX_SHOWN} more" if len(paths) > _MAX_SHOWN else ""
    return (
        f"input.path: {len(paths)} files have changed, or are cut into other fragments, since "
        f"parts of them were written: {shown}{more}; restore them, choose another output, or "
        "remove the output folder to start anew"
    )


def _parsed(text: str | None) -> PartRecord | None:
    """A record, or None where the file is gone or holds something else: then it counts for nothing."""
    try:
        values: Any = json.loads(text or "")
        return PartRecord(**values)
    except (ValueError, TypeError):
        return None


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()

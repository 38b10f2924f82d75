"""Fragments, the units of work: how a file is cut into them, and how their parts are named."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Self

MAX_NAME_BYTES = 255
"""NAME_MAX of Linux file systems. A constant, so that names do not depend on where an output lies."""
# Longest additions to a stem: ".5f2c9a1e.00000-of-00003.parquet" for a part, and ".json" for its record.
_MAX_STEM_BYTES = MAX_NAME_BYTES - 32 - 5
_SHORT_STEM_BYTES = 200  # leaves room for a million parts
_DIGEST_SIZE = 16
_VERSION_SIZE = 8
_PART_NAME = re.compile(r"(.+)\.([0-9a-f]{8})\.([0-9]{5,})-of-([0-9]{5,})\.parquet", re.DOTALL)


@dataclass(frozen=True)
class RowGroup:
    """Size of a row group; `num_bytes` are uncompressed bytes of the columns that are read."""

    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class Cut:
    """Consecutive rows of a file: whole row groups, or a slice of one, from its row `row_group_offset` on."""

    row_groups: tuple[int, ...]
    row_group_offset: int
    first_row: int
    num_rows: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One unit of work: consecutive rows of one file, which become one part.

    `relative_path` is relative to the input root. `index` is the number of the fragment among the `num_fragments`
    of its file; `first_row` and the rest are as of `Cut`. `version` (hexadecimal) is a digest of the file's size
    and footer; `mark` its ETag or modification time.
    """

    path: str
    relative_path: str
    file_size: int
    version: str
    index: int
    num_fragments: int
    row_groups: tuple[int, ...]
    row_group_offset: int
    first_row: int
    num_rows: int
    num_bytes: int
    mark: str = ""

    @property
    def part_path(self) -> str:
        """The path of the part, relative to the output root: `news/a.5f2c9a1e.00000-of-00003.parquet`."""
        stem, version = part_stem(self.relative_path), short_version(self.version)
        return PartName(stem, version, self.index, self.num_fragments).path

    def to_json(self) -> str:
        """The fragment as one line of JSON; deterministic."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The fragment of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "row_groups": tuple(values["row_groups"])})


@dataclass(frozen=True, slots=True)
class PartName:
    """The components of a part's path. Parts of different versions of a file have different names."""

    stem: str
    version: str
    index: int
    num_parts: int

    @property
    def path(self) -> str:
        """Relative to the output root."""
        return f"{self.stem}.{self.version}.{self.index:05d}-of-{self.num_parts:05d}.parquet"

    @classmethod
    def parse(cls, path: str) -> Self | None:
        """The name that gives this path; None for paths that no part has, such as any with `..` in it."""
        match = _PART_NAME.fullmatch(path)
        if match is None:
            return None
        stem, version, index, num_parts = match.groups()
        if not {"", ".", ".."}.isdisjoint(stem.split("/")):
            return None
        name = cls(stem, version, int(index), int(num_parts))
        return name if name.index < name.num_parts and name.path == path else None


def short_version(version: str) -> str:
    """The beginning of a file's version that is in the names of its parts."""
    return version[:_VERSION_SIZE]


def part_stem(relative_path: str) -> str:
    """The common start of the paths of an input file's parts: its relative path without suffix.

    A name that is too long for parts and records is cut, and a digest of the whole path is added.
    """
    path = PurePosixPath(relative_path).with_suffix("")
    name = path.name.encode(errors="surrogateescape")
    if len(name) <= _MAX_STEM_BYTES:
        return str(path)
    digest = hashlib.sha256(relative_path.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_SIZE]
    beginning = name[: _SHORT_STEM_BYTES - _DIGEST_SIZE - 1].decode(errors="ignore")
    return str(path.with_name(f"{beginning}-{digest}"))


def cut_file(row_groups: Sequence[RowGroup], *, max_rows: int, max_bytes: int) -> list[Cut]:
    """Cut a file into runs of at most `max_rows` rows and `max_bytes` bytes, but at least one row.

    Consecutive row groups are joined while they fit; larger ones are sliced, and empty ones are left out.
    """
    cuts: list[Cut] = []
    gathered: list[int] = []
    first_row = num_rows = num_bytes = 0
    for index, group in enumerate(row_groups):
        if group.num_rows == 0:
            continue
        if num_rows + group.num_rows > max_rows or num_bytes + group.num_bytes > max_bytes:
            if gathered:
                cuts.append(Cut(tuple(gathered), 0, first_row, num_rows, num_bytes))
            first_row += num_rows
            gathered, num_rows, num_bytes = [], 0, 0
            if group.num_rows > max_rows or group.num_bytes > max_bytes:
                cuts += _slices(index, group, first_row, max_rows, max_bytes)
                first_row += group.num_rows
                continue
        gathered.append(index)
        num_rows += group.num_rows
        num_bytes += group.num_bytes
    if gathered:
        cuts.append(Cut(tuple(gathered), 0, first_row, num_rows, num_bytes))
    return cuts


def _slices(index: int, group: RowGroup, first_row: int, max_rows: int, max_bytes: int) -> Iterator[Cut]:
    """Slices of one row group of equal numbers of rows, except for the last; bytes are proportional to rows."""
    fitting_rows = max_rows
    if group.num_bytes > 0:
        fitting_rows = min(max_rows, max(1, max_bytes * group.num_rows // group.num_bytes))
    num_slices = -(-group.num_rows // fitting_rows)
    slice_rows = -(-group.num_rows // num_slices)
    for offset in range(0, group.num_rows, slice_rows):
        num_rows = min(slice_rows, group.num_rows - offset)
        num_bytes = group.num_bytes * num_rows // group.num_rows
        yield Cut((index,), offset, first_row + offset, num_rows, num_bytes)

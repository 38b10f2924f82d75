"""Fragments, the units of input work, and how a file is cut into them. Pure: nothing is read."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Self

MAX_NAME_BYTES = 255
"""Of a file's name: NAME_MAX on the file systems of Linux. A constant, so that parts have the same names wherever
they lie, and can be copied from a store to a disk."""
# What is added to a stem: ".5f2c9a1e.00000-of-00003.parquet" for a part, and ".json" for its record.
_MAX_STEM_BYTES = MAX_NAME_BYTES - 32 - 5
_SHORT_STEM_BYTES = 200  # leaves room for a million parts
_DIGEST_SIZE = 16
_VERSION_SIZE = 8
_PART_NAME = re.compile(r"(.+)\.([0-9a-f]{8})\.([0-9]{5,})-of-([0-9]{5,})\.parquet", re.DOTALL)


@dataclass(frozen=True)
class RowGroup:
    """Rows of a row group, and the uncompressed bytes of those of its columns that are read."""

    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class Cut:
    """A run of rows of one file: whole row groups, or a slice of a single one.

    `row_group_offset`: rows of the first row group that come before the cut.
    """

    row_groups: tuple[int, ...]
    row_group_offset: int
    first_row: int
    num_rows: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One unit of work: consecutive rows of one file, which become one part.

    `path` is a path of the input's file system, `relative_path` relative to the input root.
    `index` counts the `num_fragments` fragments of the file. Rows count from 0; `num_bytes` are
    uncompressed bytes of the columns read. `version` (hexadecimal) is a digest of size and footer of
    the file; `mark` is what else its store says of its version, such as the time of the last change.
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
        """Path of the part, relative to the output root: `news/a.5f2c9a1e.00000-of-00003.parquet`."""
        stem, version = part_stem(self.relative_path), short_version(self.version)
        return PartName(stem, version, self.index, self.num_fragments).path

    def to_json(self) -> str:
        """The fragment as one line of JSON, the same for the same fragment."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The fragment of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "row_groups": tuple(values["row_groups"])})


@dataclass(frozen=True, slots=True)
class PartName:
    """What the path of a part says: where its rows come from, and of which version of the file they are.

    Parts of two versions of a file never have the same name, so whoever has listed the parts of one cannot
    come to read those of the other.
    """

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
    """As much of the version of a file as the names of its parts hold."""
    return version[:_VERSION_SIZE]


def part_stem(relative_path: str) -> str:
    """What the parts of an input file have in common: its relative path without its suffix.

    A name that is too long for those of parts and records is cut; a digest of the whole path tells it from others.
    """
    path = PurePosixPath(relative_path).with_suffix("")
    name = path.name.encode(errors="surrogateescape")
    if len(name) <= _MAX_STEM_BYTES:
        return str(path)
    digest = hashlib.sha256(relative_path.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_SIZE]
    beginning = name[: _SHORT_STEM_BYTES - _DIGEST_SIZE - 1].decode(errors="ignore")
    return str(path.with_name(f"{beginning}-{digest}"))


def cut_file(row_groups: Sequence[RowGroup], *, max_rows: int, max_bytes: int) -> list[Cut]:
    """Cut a file into runs of at most `max_rows` rows and `max_bytes` bytes, all rows in order.

    Row groups are gathered while they fit; one that is over the bounds alone is cut into slices.
    A single row is never cut, whatever its size. Row groups without rows are left out.
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
    """Equal slices of one row group (the last may be shorter); bytes by share of rows."""
    fitting_rows = max_rows
    if group.num_bytes > 0:
        fitting_rows = min(max_rows, max(1, max_bytes * group.num_rows // group.num_bytes))
    num_slices = -(-group.num_rows // fitting_rows)
    slice_rows = -(-group.num_rows // num_slices)
    for offset in range(0, group.num_rows, slice_rows):
        num_rows = min(slice_rows, group.num_rows - offset)
        num_bytes = group.num_bytes * num_rows // group.num_rows
        yield Cut((index,), offset, first_row + offset, num_rows, num_bytes)


def file_fragments(
    path: str, relative_path: str, file_size: int, version: str, cuts: Sequence[Cut], mark: str = ""
) -> Iterable[Fragment]:
    """The fragments of one file, one for each cut."""
    for index, cut in enumerate(cuts):
        yield Fragment(
            path=path,
            relative_path=relative_path,
            file_size=file_size,
            version=version,
            index=index,
            num_fragments=len(cuts),
            row_groups=cut.row_groups,
            row_group_offset=cut.row_group_offset,
            first_row=cut.first_row,
            num_rows=cut.num_rows,
            num_bytes=cut.num_bytes,
            mark=mark,
        )

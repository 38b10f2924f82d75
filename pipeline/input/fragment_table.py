"""All fragments of a job, stored in arrays (some 40 bytes each) and created on access."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from pipeline.fragments import Cut, Fragment

_COLUMNS = ("first row group", "row group after the last", "row group offset", "first row", "rows", "bytes")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A readable input file in its current version; `version` and `mark` as of `Fragment`."""

    path: str
    relative_path: str
    file_size: int
    version: str
    mark: str


@dataclass(frozen=True, slots=True)
class FileCuts:
    """The cuts of one file: `columns` has a row for each of `_COLUMNS`; `rowless` are row groups without rows."""

    columns: NDArray[np.int64]
    rowless: frozenset[int]

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> "FileCuts":
        """The cuts in compact form."""
        groups = [group for cut in cuts for group in cut.row_groups]
        rowless = frozenset(range(max(groups, default=0))) - frozenset(groups)
        rows = [
            (c.row_groups[0], c.row_groups[-1] + 1, c.row_group_offset, c.first_row, c.num_rows, c.num_bytes)
            for c in cuts
        ]
        return cls(np.array(rows, dtype=np.int64).reshape(-1, len(_COLUMNS)).T.copy(), rowless)

    def __len__(self) -> int:
        return self.columns.shape[1]


class FragmentTable(Sequence[Fragment]):
    """The fragments of all files in order; `files[i]` has those from `starts[i]` to `starts[i + 1]`.

    `num_rows` and `num_bytes` (int64) are as of `Fragment`.
    """

    def __init__(self, cut_files: Sequence[tuple[PlannedFile, FileCuts]]) -> None:
        self.files = tuple(file for file, _ in cut_files)
        self.starts = np.cumsum([0, *(len(cuts) for _, cuts in cut_files)], dtype=np.int64)
        self._rowless = {i: cuts.rowless for i, (_, cuts) in enumerate(cut_files) if cuts.rowless}
        columns = np.concatenate([FileCuts.of(()).columns, *(cuts.columns for _, cuts in cut_files)], axis=1)
        self._first_group, self._end_group = columns[:2].astype(np.int32)
        self._offset, self._first_row, self.num_rows, self.num_bytes = columns[2:]

    def __len__(self) -> int:
        return len(self.num_rows)

    @overload
    def __getitem__(self, index: int) -> Fragment: ...

    @overload
    def __getitem__(self, index: slice) -> "FragmentSelection": ...

    def __getitem__(self, index: int | slice) -> "Fragment | FragmentSelection":
        if isinstance(index, slice):
            return FragmentSelection(self, np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self._fragment(index, int(np.searchsorted(self.starts, index, side="right")) - 1)

    def __iter__(self) -> Iterator[Fragment]:
        for file_index in range(len(self.files)):
            for index in range(self.starts[file_index], self.starts[file_index + 1]):
                yield self._fragment(index, file_index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def indices_of(self, file_index: int) -> range:
        """The indices of the fragments of one file."""
        return range(int(self.starts[file_index]), int(self.starts[file_index + 1]))

    def _fragment(self, index: int, file_index: int) -> Fragment:
        file = self.files[file_index]
        start, end = self.starts[file_index], self.starts[file_index + 1]
        groups = range(self._first_group[index], self._end_group[index])
        rowless = self._rowless.get(file_index, ())
        return Fragment(
            path=file.path,
            relative_path=file.relative_path,
            file_size=file.file_size,
            version=file.version,
            index=int(index - start),
            num_fragments=int(end - start),
            row_groups=tuple(group for group in groups if group not in rowless),
            row_group_offset=int(self._offset[index]),
            first_row=int(self._first_row[index]),
            num_rows=int(self.num_rows[index]),
            num_bytes=int(self.num_bytes[index]),
            mark=file.mark,
        )


class FragmentSelection(Sequence[Fragment]):
    """Some fragments of a table, by their indices."""

    def __init__(self, table: FragmentTable, indices: NDArray[np.int64]) -> None:
        self._table = table
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Fragment: ...

    @overload
    def __getitem__(self, index: slice) -> "FragmentSelection": ...

    def __getitem__(self, index: int | slice) -> "Fragment | FragmentSelection":
        if isinstance(index, slice):
            return FragmentSelection(self._table, self.indices[index])
        return self._table[int(self.indices[index])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def num_rows(self) -> int:
        """The total number of rows."""
        return int(self._table.num_rows[self.indices].sum())

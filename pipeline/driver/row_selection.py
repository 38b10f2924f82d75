"""Select some rows of a planned input, the first ones or a sample, and read them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs

from pipeline.batching.row_random import row_hashes
from pipeline.errors import FragmentError
from pipeline.fragments import Fragment
from pipeline.input.fragment_table import FragmentTable
from pipeline.input.reading import FragmentReader
from pipeline.storage.threads import map_in_threads

_HASHED_AT_ONCE = 2**22


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of a fragment: their indices in it, int64, ascending."""

    fragment: Fragment
    indices: NDArray[np.int64]


def first_rows(fragments: FragmentTable, num_rows: int) -> list[SelectedRows]:
    """The first rows over all files in order."""
    return _by_fragment(fragments, np.arange(min(num_rows, int(fragments.num_rows.sum()))))


def sampled_rows(fragments: FragmentTable, num_rows: int) -> list[SelectedRows]:
    """The rows with the smallest hashes of (relative path of the file, row in the file).

    This is a uniform sample without replacement. It is the same in every run and for any size of fragments.
    """
    return _by_fragment(fragments, _smallest_hashes(fragments, num_rows))


def rows_in_few_fragments(fragments: FragmentTable, num_rows: int, num_fragments: int) -> list[SelectedRows]:
    """About `num_rows` rows in at most `num_fragments` fragments, so that little is read; all if there are fewer.

    Fragments are drawn with probabilities proportional to their rows, and the same number of rows from each, so
    the mean over the rows estimates that over all rows.
    """
    if fragments.num_rows.sum() <= num_rows:
        return first_rows(fragments, num_rows)
    selection = []
    for drawn in _by_fragment(fragments, _smallest_hashes(fragments, num_fragments)):
        fragment, num_drawn = drawn.fragment, len(drawn.indices) * -(-num_rows // num_fragments)
        hashes = row_hashes(fragment.relative_path, fragment.first_row, fragment.num_rows)
        selection.append(SelectedRows(fragment, np.sort(np.argsort(hashes)[:num_drawn])))
    return selection


def read_rows(
    selection: Iterable[SelectedRows], schema: pa.Schema, filesystem: fs.FileSystem
) -> Iterator[pa.Table | FragmentError]:
    """The columns of `schema` of the selected rows, a table or an error for each fragment, in order."""
    files = [list(of_file) for _, of_file in groupby(selection, key=lambda selected: selected.fragment.path)]
    for tables in map_in_threads(lambda of_file: _read_file(of_file, schema, filesystem), files):
        yield from tables


def _read_file(
    selection: Sequence[SelectedRows], schema: pa.Schema, filesystem: fs.FileSystem
) -> list[pa.Table | FragmentError]:
    reader = FragmentReader(schema, filesystem)
    tables: list[pa.Table | FragmentError] = []
    for selected in selection:
        try:
            tables.append(reader.read(selected.fragment).take(pa.array(selected.indices)))
        except FragmentError as error:
            tables.append(error)
    reader.close()
    return tables


def _by_fragment(fragments: FragmentTable, rows: NDArray[np.int64]) -> list[SelectedRows]:
    """The selection of rows by their ascending numbers over all fragments."""
    ends = np.cumsum(fragments.num_rows)
    places = np.searchsorted(ends, rows, side="right")
    found, begins = np.unique(places, return_index=True)
    return [
        SelectedRows(fragments[int(index)], some - (ends[index] - fragments.num_rows[index]))
        for index, some in zip(found, np.split(rows, begins)[1:], strict=True)
    ]


def _smallest_hashes(fragments: FragmentTable, num_rows: int) -> NDArray[np.int64]:
    """The numbers, over all fragments and ascending, of the rows with the smallest hashes."""
    starts = np.concatenate([[0], np.cumsum(fragments.num_rows)])[fragments.starts]
    kept = _Smallest(num_rows)
    for file, start, end in zip(fragments.files, starts[:-1], starts[1:], strict=True):
        for first in range(0, int(end - start), _HASHED_AT_ONCE):
            num_hashed = min(_HASHED_AT_ONCE, int(end - start) - first)
            kept.add(row_hashes(file.relative_path, first, num_hashed), int(start) + first)
    return np.sort(kept.rows())


class _Smallest:
    """The `size` smallest of many hashes, with the numbers of their rows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes, self._rows = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
        self._num_kept = 0
        self._bound: np.uint64 | None = None

    def add(self, hashes: NDArray[np.uint64], first_row: int) -> None:
        """Hashes of consecutive rows."""
        chosen = np.arange(len(hashes)) if self._bound is None else np.flatnonzero(hashes < self._bound)
        self._hashes.append(hashes[chosen])
        self._rows.append(chosen + first_row)
        self._num_kept += len(chosen)
        # Sorting seldom, as there may be many small files.
        if self._num_kept > 2 * self._size + _HASHED_AT_ONCE // 64:
            self.rows()

    def rows(self) -> NDArray[np.int64]:
        """Their rows; all others are dropped."""
        hashes, rows = np.concatenate(self._hashes), np.concatenate(self._rows)
        # Stable: of equal hashes, the first row stays.
        smallest = np.argsort(hashes, kind="stable")[: self._size]
        self._hashes, self._rows, self._num_kept = [hashes[smallest]], [rows[smallest]], len(smallest)
        if self._num_kept == self._size:
            self._bound = self._hashes[0][-1]
        return self._rows[0]

"""The parts of an annotated folder, in order, read column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.fragments import PartName
from pipeline.output.output_folder import SUCCESS


@dataclass(frozen=True)
class AnnotatedParts:
    """The parts of a finished output.

    Attributes:
        folder: the output.
        paths: its parts, in the order of its files and fragments.
        counts: rows of each.
        schema: of all of them.
    """

    folder: Path
    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    schema: pa.Schema

    @classmethod
    def open(cls, folder: Path, field: str) -> "AnnotatedParts":
        """List the parts.

        Raises InputError, which begins with `field`, for a folder that is no finished output.
        """
        named = [(PartName.parse(str(file.relative_to(folder))), file) for file in folder.rglob("*.parquet")]
        parts = sorted(
            (name.stem, name.index, file)
            for name, file in named
            if name is not None and not name.path.startswith("_")
        )
        if not (folder / SUCCESS).exists() or not parts:
            found = "an output that is not finished" if parts else "no output"
            raise InputError(
                f"{field}: found {found} in {folder}, expected that of an annotation job; check the path, or run "
                "the job again"
            )
        paths = tuple(file for _, _, file in parts)
        counts = tuple(pq.read_metadata(path).num_rows for path in paths)
        return cls(folder, paths, counts, pq.read_schema(paths[0]))

    @property
    def num_rows(self) -> int:
        """Rows of all parts."""
        return sum(self.counts)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column, which must be small."""
        return pa.chunked_array(list(self.pieces([name])), self.schema.field(name).type)

    def pieces(self, path: Sequence[str]) -> Iterator[pa.Array]:
        """A column or nested field, one part at a time."""
        for part in self.paths:
            yield read_field(part, path)


def read_field(part: Path, path: Sequence[str]) -> pa.Array:
    """A column or nested field of a part."""
    with pq.ParquetFile(part) as file:
        column = file.read(columns=[".".join(path)]).column(0).combine_chunks()
    for name in path[1:]:
        column = _field_of(column, name)
    return column


def _field_of(structs: pa.StructArray, name: str) -> pa.Array:
    """A field, null where the struct is."""
    return structs.flatten()[structs.type.get_field_index(name)]

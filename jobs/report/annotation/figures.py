"""Figures of an output, added up part by part."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.report.annotation.head_columns import HeadColumn, head_columns
from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, RESERVED
from pipeline.errors import InputError
from pipeline.fragments import PartName
from pipeline.output.output_folder import OutputFolder
from pipeline.row_errors import ErrorKind, count_kinds, in_order

LENGTHS = (0, 1, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Where bins of texts by their number of tokens begin."""
MAX_SCORES = 4_000_000
"""So many scores of a head are kept, evenly from all parts."""
LANGUAGE_NAMES = ("lang", "language", "lang_code", "language_code", "iso_code")


@dataclass
class HeadFigures:
    """Of one head: rows with a value, labels (also by language), and scores."""

    column: HeadColumn
    num_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    labels_by_language: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    num_scores: int = 0


@dataclass
class Figures:
    """Of all parts; `lengths` are rows by number of tokens, in the bins of `LENGTHS`."""

    num_parts: int = 0
    num_rows: int = 0
    num_tokens: int = 0
    num_windows: int = 0
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LENGTHS), dtype=np.int64))
    errors: dict[ErrorKind, int] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    heads: dict[str, HeadFigures] = field(default_factory=dict)
    language_column: str | None = None

    @property
    def num_errors(self) -> int:
        """Rows with an error."""
        return sum(self.errors.values())

    def add(self, rows: pa.Table, heads: Sequence[HeadColumn], max_scores: int) -> None:
        """Add the rows of a part, of which at most so many scores of each head are kept."""
        tokens = rows[NUM_TOKENS].to_numpy()
        self.num_parts += 1
        self.num_rows += rows.num_rows
        self.num_tokens += int(tokens.sum())
        self.num_windows += pc.sum(rows[NUM_WINDOWS], min_count=0).as_py()
        bins = np.searchsorted(LENGTHS, tokens, side="right") - 1
        self.lengths += np.bincount(bins, minlength=len(LENGTHS))
        for kind, count in count_kinds(counted(rows[ERROR])).items():
            self.errors[kind] = self.errors.get(kind, 0) + count
        self.errors = in_order(self.errors)
        languages = None
        if self.language_column is not None:
            languages = rows[self.language_column].cast(pa.string()).combine_chunks()
            self.languages.update(dict(counted(languages)))
        for head in heads:
            figures = self.heads.setdefault(head.name, HeadFigures(head))
            _add_head(figures, rows[head.name].combine_chunks(), languages, max_scores)


def _add_head(figures: HeadFigures, column: pa.Array, languages: pa.Array | None, max_scores: int) -> None:
    head = figures.column
    figures.num_rows += len(column) - column.null_count
    if head.labels is not None:
        labels = head.labels_in(column)
        figures.labels.update(dict(counted(labels)))
        if languages is not None:
            of_labels = languages.take(head.row_of_labels(column))
            pairs = pa.table({"language": of_labels, "label": labels}).drop_null()
            for pair in pairs.group_by(["language", "label"]).aggregate([([], "count_all")]).to_pylist():
                figures.labels_by_language[pair["language"]][pair["label"]] += pair["count_all"]
    if head.score is not None:
        scores = head.scores_in(column).to_numpy(zero_copy_only=False)
        figures.num_scores += len(scores)
        figures.scores.append(scores[:: max(1, -(-len(scores) // max(1, max_scores)))])


def counted(values: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    """Each different value that is not null, and how often it is there."""
    for found in pc.value_counts(values.drop_null()).to_pylist():
        yield found["values"], found["counts"]


def parts_of(folder: OutputFolder) -> list[str]:
    """The parts in place, in the order of their paths."""
    return sorted(path for path, _ in folder.list_files() if PartName.parse(path) is not None and path[0] != "_")


def read_figures(folder: OutputFolder, by: str | None = None) -> Figures:
    """The figures of all parts. `by`: the column of languages; None: one that is called like one, if there is one.

    Raises InputError if there are no parts, one cannot be read, or none has the column.
    """
    paths = parts_of(folder)
    if not paths:
        raise InputError(f"OUTPUT: found no parts in {folder.root}, expected some; check the path")
    figures = Figures()
    for path in paths:
        figures.language_column, heads, rows = _read_part(folder, path, by)
        figures.add(rows, heads, MAX_SCORES // len(paths) + 1)
    return figures


def _read_part(folder: OutputFolder, path: str, by: str | None) -> tuple[str | None, list[HeadColumn], pa.Table]:
    data = folder.read(path)
    if data is None:
        raise InputError(f"OUTPUT: {path} is gone, expected it to stay while it is read; run this again")
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        language = _language_column(schema, by, path)
        heads = head_columns(schema, schema.get_field_index(RESERVED[-1]) + 1)
        shown = [head for head in heads if head.labels is not None or head.score is not None]
        columns = [*RESERVED, *([language] if language else []), *(head.name for head in shown)]
        return language, shown, file.read(columns)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"OUTPUT: {path} cannot be read: {str(error).partition(chr(10))[0]}") from None


def _language_column(schema: pa.Schema, by: str | None, path: str) -> str | None:
    carried: Mapping[str, pa.DataType] = {
        field.name: field.type for field in list(schema)[: schema.get_field_index(RESERVED[0])]
    }
    if by is not None and by not in carried:
        raise InputError(f"--by: found {by!r}, which {path} does not have; expected one of {', '.join(carried)}")
    return by or next((name for name in LANGUAGE_NAMES if name in carried and _is_text(carried[name])), None)


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_dictionary(type_)

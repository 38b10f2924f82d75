"""SIB-200: the topic of a sentence, in about 200 languages, named as in FLORES-200 (deu_Latn).

The hub has a folder for each language; other exports have one file with a column `lang`.
"""

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from jobs.evaluate.data.files import DataFile, DataFiles
from jobs.evaluate.data.prepare import by_key, examples, keys_of, label_names
from jobs.evaluate.data.reading import Column, has_column, read_rows, read_schema
from jobs.evaluate.data.subsets import SubsetFolders, choose_subsets, no_files
from jobs.evaluate.examples import GOLD, WHOLE, Benchmark, BenchmarkTask

LABELS = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")
ALIASES = dict.fromkeys(("science", "technology", "science_technology", "science and technology"), LABELS[0])
_LANGUAGE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_LANGUAGE_COLUMNS = ("lang", "language")
_MIXED = SubsetFolders.whole("sib200", "sib200", or_top=True)


def _folders(files: DataFiles) -> SubsetFolders:
    there = {file.config for file in files.files if file.depth <= 1 and _LANGUAGE.fullmatch(file.config)}
    return SubsetFolders("sib200", {language: (language,) for language in sorted(there)})


def _splits(files: DataFiles) -> tuple[str, ...]:
    return _folders(files).splits(files) or _MIXED.splits(files)


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    if found := _folders(files).of_split(files, split):
        languages = _chosen(found, files, split, wanted)
        return {language: _read_folder(files, found[language]) for language in languages}
    mixed = _MIXED.of_split(files, split)
    if not mixed:
        example = f"deu_Latn/{split}-00000-of-00001.parquet, or one file with a column 'lang'"
        raise no_files(files, split, example)
    tables = _read_mixed(files, mixed[WHOLE])
    return {language: tables[language] for language in _chosen(tables, files, split, wanted)}


def _chosen(found: Iterable[str], files: DataFiles, split: str, wanted: Sequence[str] | None) -> list[str]:
    known = sorted({*found, *_languages(wanted)})
    return choose_subsets("sib200", found, known, wanted, files, split)


def _languages(wanted: Sequence[str] | None) -> list[str]:
    """The wanted names that may be languages."""
    return [name for name in wanted or () if _LANGUAGE.fullmatch(name)]


def _columns(files: DataFiles, file: DataFile) -> dict[str, Column]:
    schema = read_schema(files, file)
    gold = "label" if has_column(schema, "label") and not has_column(schema, "category") else "category"
    return {"text": Column("text", "text"), GOLD: Column(gold, "class")}


def _read_folder(files: DataFiles, chosen: Sequence[DataFile]) -> pa.Table:
    rows = read_rows(files, chosen, _columns(files, chosen[0]))
    gold = label_names(rows, GOLD, LABELS, ALIASES, has_known_order=False)
    return examples("classification", rows.num_rows, {**rows.columns, GOLD: gold})


def _read_mixed(files: DataFiles, chosen: Sequence[DataFile]) -> dict[str, pa.Table]:
    schema = read_schema(files, chosen[0])
    path = next((name for name in _LANGUAGE_COLUMNS if has_column(schema, name)), _LANGUAGE_COLUMNS[0])
    rows = read_rows(files, chosen, {**_columns(files, chosen[0]), "language": Column(path, "class")})
    gold = label_names(rows, GOLD, LABELS, ALIASES, has_known_order=False)
    table = examples("classification", rows.num_rows, {"text": rows.columns["text"], GOLD: gold})
    return by_key(table, keys_of(rows, "language"))


BENCHMARK = Benchmark(
    "sib200",
    (
        BenchmarkTask(
            name="sib200",
            kind="classification",
            metrics=("accuracy",),
            splits=_splits,
            read=_read,
            labels=LABELS,
            aliases=ALIASES,
        ),
    ),
    notes=("Accuracy, and its mean over the languages that are there.",),
)

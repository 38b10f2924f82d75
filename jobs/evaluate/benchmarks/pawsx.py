"""PAWS-X: are two sentences paraphrases of each other, in 7 languages."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.data.files import DataFile, DataFiles
from jobs.evaluate.data.prepare import examples, label_names
from jobs.evaluate.data.reading import Column, read_rows
from jobs.evaluate.data.subsets import SubsetFolders, folder_names
from jobs.evaluate.examples import GOLD, Benchmark, BenchmarkTask

LANGUAGES = ("en", "de", "es", "fr", "ja", "ko", "zh")
LABELS = ("0", "1")
"""These are the names that the hub gives them; 1 is a paraphrase."""
ALIASES = {
    **dict.fromkeys(("different", "not_paraphrase", "not paraphrase", "no_paraphrase", "not_duplicate"), "0"),
    **dict.fromkeys(("same", "paraphrase", "is_paraphrase", "duplicate"), "1"),
}
_FOLDERS = SubsetFolders("pawsx", folder_names(LANGUAGES, "{}", "paws-x.{}", "pawsx.{}"))
_COLUMNS = {
    "text": Column("sentence1", "text"),
    "text_pair": Column("sentence2", "text"),
    GOLD: Column("label", "class"),
}


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    return {language: _read_folder(files, chosen) for language, chosen in found.items()}


def _read_folder(files: DataFiles, chosen: Sequence[DataFile]) -> pa.Table:
    rows = read_rows(files, chosen, _COLUMNS)
    gold = label_names(rows, GOLD, LABELS, ALIASES)
    return examples("classification", rows.num_rows, {**rows.columns, GOLD: gold})


BENCHMARK = Benchmark(
    "pawsx",
    (
        BenchmarkTask(
            name="pawsx",
            kind="classification",
            metrics=("accuracy",),
            splits=_FOLDERS.splits,
            read=_read,
            labels=LABELS,
            aliases=ALIASES,
            subsets=LANGUAGES,
        ),
    ),
)

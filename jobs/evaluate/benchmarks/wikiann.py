"""WikiANN (PAN-X): persons, organisations and locations in Wikipedia, labelled automatically."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.benchmarks.tagged_words import read_tagged_words
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders, folder_names
from jobs.evaluate.examples import Average, Benchmark, BenchmarkTask

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
ADDED = ("az", "gu", "lt", "pa", "pl", "qu", "ro", "uk")
"""Languages that XTREME-R added."""
LANGUAGES = (
    *("af", "ar", "bg", "bn", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it"),
    *("ja", "jv", "ka", "kk", "ko", "ml", "mr", "ms", "my", "nl", "pt", "ru", "sw", "ta", "te", "th", "tl", "tr"),
    *("ur", "vi", "yo", "zh"),
    *ADDED,
)
_FOLDERS = SubsetFolders("wikiann", folder_names(LANGUAGES, "{}", "wikiann.{}", "PAN-X.{}", "panx.{}"))


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    return {code: read_tagged_words(files, chosen, "ner_tags", LABELS) for code, chosen in found.items()}


BENCHMARK = Benchmark(
    "wikiann",
    (
        BenchmarkTask(
            name="wikiann",
            kind="words",
            metrics=("entity_f1",),
            splits=_FOLDERS.splits,
            read=_read,
            labels=LABELS,
            subsets=LANGUAGES,
            averages=(Average(), Average("mean of XTREME's 40", frozenset(ADDED))),
        ),
    ),
    notes=("Labels are silver: made automatically. XTREME's figures are of the test split.",),
)

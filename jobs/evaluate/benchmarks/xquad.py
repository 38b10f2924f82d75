"""XQuAD: questions on paragraphs, translated into 11 languages from SQuAD 1.1, and Romanian added later."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.benchmarks.parallel import require_parallel
from jobs.evaluate.benchmarks.questions import METRICS, read_questions
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders, folder_names
from jobs.evaluate.examples import Average, Benchmark, BenchmarkTask

LANGUAGES = ("en", "es", "de", "el", "ru", "tr", "ar", "vi", "th", "zh", "hi", "ro")
_FOLDERS = SubsetFolders("xquad", folder_names(LANGUAGES, "xquad.{}", "{}"))


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    tables = {language: read_questions(files, chosen) for language, chosen in found.items()}
    require_parallel("xquad", tables)
    return tables


BENCHMARK = Benchmark(
    "xquad",
    (
        BenchmarkTask(
            name="xquad",
            kind="question-answering",
            metrics=METRICS,
            splits=_FOLDERS.splits,
            read=_read,
            subsets=LANGUAGES,
            rules="squad-1.1",
            is_parallel=True,
            default_splits=("validation", "test"),
            averages=(Average(), Average("mean without ro", frozenset({"ro"}))),
        ),
    ),
    notes=(
        "The rules of SQuAD 1.1 for every language, as in XTREME; XTREME's mean is over 11 languages, without "
        "Romanian, which XTREME-R added.",
    ),
)

"""MLQA: questions on paragraphs of Wikipedia in 7 languages, both in the same language."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.benchmarks.questions import METRICS, read_questions
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders
from jobs.evaluate.examples import Benchmark, BenchmarkTask, Published

LANGUAGES = ("en", "es", "de", "ar", "hi", "vi", "zh")
# The hub names the language of the paragraph, then that of the question.
_FOLDERS = SubsetFolders("mlqa", {code: (f"mlqa.{code}.{code}", f"{code}.{code}", code) for code in LANGUAGES})

# The README prints the others in another order than its header says.
_CLEAR = ("mean", "en", "hi", "vi", "zh")
_FIGURES = {
    "XLM-R XL": {"f1": (73.4, 85.1, 72.2, 74.4, 70.9), "exact_match": (55.3, 72.6, 54.7, 52.9, 48.5)},
    "XLM-R XXL": {"f1": (74.8, 85.5, 73.7, 76.0, 71.7), "exact_match": (56.6, 72.4, 55.8, 55.0, 48.9)},
}


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    return {language: read_questions(files, chosen) for language, chosen in found.items()}


BENCHMARK = Benchmark(
    "mlqa",
    (
        BenchmarkTask(
            name="mlqa",
            kind="question-answering",
            metrics=METRICS,
            splits=_FOLDERS.splits,
            read=_read,
            subsets=LANGUAGES,
            rules="mlqa",
            published=tuple(
                Published(
                    system,
                    "not stated there; XLM-R large beside them is fine-tuned on English SQuAD alone",
                    "fairseq, examples/xlmr/README.md",
                    "test",
                    metric,
                    dict(zip(_CLEAR, row, strict=True)),
                )
                for system, rows in _FIGURES.items()
                for metric, row in rows.items()
            ),
        ),
    ),
    notes=(
        "Published figures of es, de and ar are left out, as they are printed in another order than their header "
        "says.",
    ),
)

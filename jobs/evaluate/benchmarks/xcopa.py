"""XCOPA: which of two sentences is the cause or the effect of another, in 11 languages and English."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.benchmarks.parallel import require_parallel
from jobs.evaluate.data.files import DataFile, DataFiles
from jobs.evaluate.data.prepare import choice_numbers, combined, examples, label_names, lists_of
from jobs.evaluate.data.reading import Column, read_rows
from jobs.evaluate.data.subsets import SubsetFolders, folder_names
from jobs.evaluate.examples import GOLD, Average, Benchmark, BenchmarkTask

LANGUAGES = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh", "en")
QUESTIONS = {"cause": "What was the cause?", "effect": "What happened as a result?"}
_FOLDERS = SubsetFolders("xcopa", folder_names(LANGUAGES, "{}", "xcopa.{}"))
_COLUMNS = {
    "premise": Column("premise", "text"),
    "choice1": Column("choice1", "text"),
    "choice2": Column("choice2", "text"),
    "question": Column("question", "class"),
    GOLD: Column("label", "integer"),
}


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    tables = {language: _read_folder(files, chosen) for language, chosen in found.items()}
    require_parallel("xcopa", tables)
    return tables


def _read_folder(files: DataFiles, chosen: Sequence[DataFile]) -> pa.Table:
    rows = read_rows(files, chosen, _COLUMNS)
    kinds = label_names(rows, "question", tuple(QUESTIONS), {}, has_known_order=False)
    questions = pa.array([QUESTIONS.get(kind) for kind in kinds.to_pylist()], pa.string())
    prompts = pc.binary_join_element_wise(combined(rows.columns["premise"]), questions, " ")
    choices = lists_of([combined(rows.columns[name]) for name in ("choice1", "choice2")])
    gold = choice_numbers(rows, GOLD, 2)
    return examples("multiple-choice", rows.num_rows, {"prompt": prompts, "choices": choices, GOLD: gold})


BENCHMARK = Benchmark(
    "xcopa",
    (
        BenchmarkTask(
            name="xcopa",
            kind="multiple-choice",
            metrics=("accuracy",),
            splits=_FOLDERS.splits,
            read=_read,
            subsets=LANGUAGES,
            is_parallel=True,
            averages=(Average("mean without en", frozenset({"en"})), Average()),
        ),
    ),
    notes=("XTREME-R's mean is over 11 languages, without English; both are shown.",),
)

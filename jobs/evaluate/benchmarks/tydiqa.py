"""TyDi QA, gold passage task: questions on paragraphs of Wikipedia, written in 9 languages.

The hub has one file, `secondary_task`, whose ids begin with the name of the language; others have folders.
"""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.benchmarks.questions import METRICS, read_questions
from jobs.evaluate.data.files import FIELD, DataFiles
from jobs.evaluate.data.prepare import by_key
from jobs.evaluate.data.subsets import SubsetFolders, choose_subsets
from jobs.evaluate.examples import WHOLE, Benchmark, BenchmarkTask
from pipeline.errors import InputError

LANGUAGES = {
    "en": "english",
    "ar": "arabic",
    "bn": "bengali",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}
"""By code, what ids begin with."""
_FOLDERS = SubsetFolders("tydiqa", {code: (code, f"tydiqa.{code}", name) for code, name in LANGUAGES.items()})
_MIXED = SubsetFolders.whole("tydiqa", "secondary_task", "tydiqa", or_top=True)


def _splits(files: DataFiles) -> tuple[str, ...]:
    return _FOLDERS.splits(files) or _MIXED.splits(files)


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    if _FOLDERS.of_split(files, split):
        found = _FOLDERS.find(files, split, wanted)
        return {language: read_questions(files, chosen) for language, chosen in found.items()}
    mixed = _MIXED.find(files, split, None)[WHOLE]
    tables = _by_language(read_questions(files, mixed), mixed[0].name)
    return {code: tables[code] for code in choose_subsets("tydiqa", tables, LANGUAGES, wanted, files, split)}


def _by_language(table: pa.Table, file: str) -> dict[str, pa.Table]:
    """The examples by language, which keep their numbers. Raises InputError if an id names none."""
    codes = {name: code for code, name in LANGUAGES.items()}
    keys = [codes.get((id_ or "").partition("-")[0]) for id_ in table["id"].to_pylist()]
    if None in keys:
        raise InputError(
            f"{FIELD}: {file}: the id of row {keys.index(None)} (from 0) does not begin with a language, expected "
            f"one of {', '.join(codes)}, and a hyphen; name the gold passage task (secondary_task)"
        )
    return by_key(table, pa.array(keys, pa.string()))


BENCHMARK = Benchmark(
    "tydiqa",
    (
        BenchmarkTask(
            name="tydiqa",
            kind="question-answering",
            metrics=METRICS,
            splits=_splits,
            read=_read,
            subsets=tuple(LANGUAGES),
            rules="squad-1.1",
            default_splits=("validation", "test"),
        ),
    ),
    notes=("The gold passage task, by the rules of SQuAD 1.1 for every language, as in XTREME.",),
)

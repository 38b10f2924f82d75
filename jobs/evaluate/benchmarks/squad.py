"""SQuAD 1.1, and SQuAD 2.0 with questions that have no answer: on paragraphs of English Wikipedia."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import pyarrow as pa

from jobs.evaluate.benchmarks.questions import METRICS, read_questions
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders
from jobs.evaluate.examples import WHOLE, Benchmark, BenchmarkTask


def _read(
    folders: SubsetFolders, may_be_none: bool, files: DataFiles, split: str, wanted: Sequence[str] | None
) -> dict[str, pa.Table]:
    found = folders.find(files, split, wanted)
    return {WHOLE: read_questions(files, found[WHOLE], may_be_none=may_be_none)}


def _task(folders: SubsetFolders, rules: Literal["squad-1.1", "squad-2.0"]) -> BenchmarkTask:
    return BenchmarkTask(
        name=folders.benchmark,
        kind="question-answering",
        metrics=METRICS,
        splits=folders.splits,
        read=partial(_read, folders, rules == "squad-2.0"),
        subsets=(WHOLE,),
        rules=rules,
        default_splits=("validation",),
    )


BENCHMARK = Benchmark(
    "squad", (_task(SubsetFolders.whole("squad", "squad", "plain_text", or_top=True), "squad-1.1"),)
)
BENCHMARK_V2 = Benchmark(
    "squad_v2", (_task(SubsetFolders.whole("squad_v2", "squad_v2", or_top=True), "squad-2.0"),)
)

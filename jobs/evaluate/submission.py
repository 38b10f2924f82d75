"""The zip of eleven TSV files that GLUE's leaderboard takes.

Names, header, order and formats as in the public jiant (`benchmarks.py`) and GLUE-baselines (`main.py`): no
quoting, indices from 0 in each file, numbers of classes for CoLA, SST-2, MRPC, QQP and WNLI, words for the others.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.evaluate.examples import WHOLE, Benchmark
from jobs.evaluate.folder import EvaluationFolder, EvaluationRecord
from jobs.evaluate.predictions import read_predictions
from jobs.evaluate.scoring.classification import predicted_classes
from jobs.evaluate.scoring.regression import predicted_values
from pipeline.storage.printable import number_of

_EPOCH = (1980, 1, 1, 0, 0, 0)
_HEADER = "index\tprediction"
_MAX_SIMILARITY = 5.0


@dataclass(frozen=True)
class SubmissionFile:
    """A file of the zip: what it is named, its task and subset, how many rows it has, and what fills it.

    `filler` stands in each row of a task that was not run, and where a row has no prediction.
    """

    name: str
    task: str
    subset: str
    num_rows: int
    filler: str


@dataclass(frozen=True)
class Submission:
    """The zip, the files that were filled as their task was not run, and what others lack."""

    data: bytes
    filled: list[str]
    incomplete: list[str]


FILES = (
    SubmissionFile("CoLA.tsv", "cola", WHOLE, 1063, "1"),
    SubmissionFile("SST-2.tsv", "sst2", WHOLE, 1821, "1"),
    SubmissionFile("MRPC.tsv", "mrpc", WHOLE, 1725, "1"),
    SubmissionFile("STS-B.tsv", "stsb", WHOLE, 1379, "2.500"),
    SubmissionFile("QQP.tsv", "qqp", WHOLE, 390965, "0"),
    SubmissionFile("MNLI-m.tsv", "mnli", "matched", 9796, "entailment"),
    SubmissionFile("MNLI-mm.tsv", "mnli", "mismatched", 9847, "entailment"),
    SubmissionFile("QNLI.tsv", "qnli", WHOLE, 5463, "entailment"),
    SubmissionFile("RTE.tsv", "rte", WHOLE, 3000, "entailment"),
    SubmissionFile("WNLI.tsv", "wnli", WHOLE, 146, "0"),
    SubmissionFile("AX.tsv", "ax", WHOLE, 1104, "entailment"),
)
_NUMBERED = {"cola", "sst2", "mrpc", "qqp", "wnli"}


def glue_submission(folder: EvaluationFolder, benchmark: Benchmark, record: EvaluationRecord) -> Submission | None:
    """The zip for what was run on test splits; None if all golds are known."""
    tasks = {name: task for name, task in record.tasks.items() if task.split == "test"}
    if all(subset.num_gold for task in tasks.values() for subset in task.subsets.values()):
        return None
    predictions: dict[tuple[str, str], Sequence[str | float | None]] = {}
    for name, task in tasks.items():
        for subset, each in task.subsets.items():
            rows = read_predictions(folder, name, subset, each.sha256)
            is_valued = task.kind == "regression"
            predictions[name, subset] = (
                predicted_values(rows) if is_valued else predicted_classes(rows, task.labels)[0]
            )
    return submission(predictions, {task.name: task.labels for task in benchmark.tasks})


def submission(
    predictions: Mapping[tuple[str, str], Sequence[str | float | None]], labels: Mapping[str, Sequence[str]]
) -> Submission:
    """The zip, deterministic.

    Args:
        predictions: by task and subset, one for each row of the test split, in order: the benchmark's name of the
            label, or a similarity; None where a row failed.
        labels: by task, the benchmark's labels by class id.
    """
    sink = io.BytesIO()
    filled, incomplete = [], []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in FILES:
            found = predictions.get((file.task, file.subset))
            if found is None:
                filled.append(file.name)
                rows = [file.filler] * file.num_rows
            else:
                rows = [_written(file, value, labels.get(file.task, ())) for value in found]
                num_failed = sum(value is None for value in found)
                if num_failed:
                    incomplete.append(
                        f"{file.name} has {number_of(num_failed, 'row')} without prediction ({file.filler})"
                    )
            if len(rows) != file.num_rows:
                incomplete.append(f"{file.name} has {number_of(len(rows), 'row')}, expected {file.num_rows:,}")
            lines = [_HEADER, *(f"{index}\t{row}" for index, row in enumerate(rows))]
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, "\n".join(lines) + "\n")
    return Submission(sink.getvalue(), filled, incomplete)


def _written(file: SubmissionFile, value: str | float | None, labels: Sequence[str]) -> str:
    if value is None:
        return file.filler
    if isinstance(value, float):
        return f"{min(max(value, 0.0), _MAX_SIMILARITY):.3f}"
    return str(labels.index(value)) if file.task in _NUMBERED else value

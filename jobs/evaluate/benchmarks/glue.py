"""GLUE: nine tasks on English sentences and pairs of sentences, and the diagnostic set AX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.data.files import DataFile, DataFiles, files_of_split
from jobs.evaluate.data.prepare import NO_GOLD, examples, label_names, numbers
from jobs.evaluate.data.reading import Column, Rows, read_rows
from jobs.evaluate.data.subsets import SubsetFolders, choose_subsets, no_files
from jobs.evaluate.examples import GOLD, WHOLE, Benchmark, BenchmarkTask, Kind, Published

INFERENCE = ("entailment", "neutral", "contradiction")
_INFERENCE_ALIASES = {"contradictory": "contradiction"}
_NOT_ENTAILMENT = dict.fromkeys(("not entailment", "not-entailment", "notentailment"), "not_entailment")
PARTS = ("matched", "mismatched")
_MNLI = ("mnli", "multi_nli", "multinli")


@dataclass(frozen=True)
class _Sentences:
    """The columns of a task by role, and its labels by class id; none for regression."""

    columns: Mapping[str, Column]
    labels: tuple[str, ...]
    aliases: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        return "classification" if self.labels else "regression"

    def read(self, files: DataFiles, chosen: Sequence[DataFile]) -> pa.Table:
        """The examples in the files of one split."""
        gold = Column("label", "class" if self.labels else "number")
        rows = read_rows(files, chosen, {**self.columns, GOLD: gold})
        return examples(self.kind, rows.num_rows, {**rows.columns, GOLD: self._gold(rows)})

    def _gold(self, rows: Rows) -> pa.Array:
        if self.labels:
            return label_names(rows, GOLD, self.labels, self.aliases)
        # A secret score is -1; others are 0 to 5.
        scores = numbers(rows, GOLD)
        return pc.if_else(pc.equal(scores, float(NO_GOLD)), pa.scalar(None, scores.type), scores)


def _columns(text: str, text_pair: str | None = None) -> dict[str, Column]:
    columns = {"text": Column(text, "text")}
    return columns if text_pair is None else {**columns, "text_pair": Column(text_pair, "text")}


def _read_whole(
    folders: SubsetFolders, sentences: _Sentences, files: DataFiles, split: str, wanted: Sequence[str] | None
) -> dict[str, pa.Table]:
    found = folders.find(files, split, wanted)
    return {WHOLE: sentences.read(files, found[WHOLE])}


_MNLI_SENTENCES = _Sentences(_columns("premise", "hypothesis"), INFERENCE, _INFERENCE_ALIASES)


def _mnli_files(files: DataFiles, split: str, part: str) -> list[DataFile]:
    whole, alone = files.of_config(_MNLI), files.of_config((f"mnli_{part}",))
    return files_of_split(whole, f"{split}_{part}") or files_of_split(alone, split)


def _mnli_splits(files: DataFiles) -> tuple[str, ...]:
    ending = {file.split.rpartition("_") for file in files.of_config(_MNLI)}
    alone = {file.split for part in PARTS for file in files.of_config((f"mnli_{part}",))}
    return tuple(sorted({split for split, _, part in ending if part in PARTS} | alone))


def _read_mnli(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = {part: chosen for part in PARTS if (chosen := _mnli_files(files, split, part))}
    parts = choose_subsets("glue/mnli", found, PARTS, wanted, files, split)
    if not parts:
        raise no_files(files, split, f"mnli/{split}_matched-00000-of-00001.parquet")
    return {part: _MNLI_SENTENCES.read(files, found[part]) for part in parts}


def _published(metric: str, value: float, subset: str = WHOLE) -> tuple[Published, ...]:
    return (
        Published(
            "RoBERTa large",
            "fine-tuned on the task alone, one model",
            "fairseq, examples/roberta/README.md",
            "validation",
            metric,
            {subset: value},
        ),
    )


def _task(
    name: str,
    columns: Mapping[str, Column],
    labels: tuple[str, ...],
    metrics: tuple[str, ...],
    *,
    folders: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    positive: str | None = None,
    splits: tuple[str, ...] = ("validation",),
    published: tuple[Published, ...] = (),
    uses_head_of: str | None = None,
) -> BenchmarkTask:
    """A task without parts."""
    found_in = SubsetFolders.whole(f"glue/{name}", name, *folders)
    sentences = _Sentences(columns, labels, aliases or {})
    return BenchmarkTask(
        name=name,
        kind=sentences.kind,
        metrics=metrics,
        splits=found_in.splits,
        read=partial(_read_whole, found_in, sentences),
        labels=labels,
        aliases=sentences.aliases,
        subsets=(WHOLE,),
        positive=positive,
        default_splits=splits,
        published=published,
        uses_head_of=uses_head_of,
    )


_TASKS = (
    _task(
        "cola",
        _columns("sentence"),
        ("unacceptable", "acceptable"),
        ("matthews",),
        published=_published("matthews", 68.0),
    ),
    _task(
        "sst2",
        _columns("sentence"),
        ("negative", "positive"),
        ("accuracy",),
        folders=("sst-2",),
        published=_published("accuracy", 96.4),
    ),
    _task(
        "mrpc",
        _columns("sentence1", "sentence2"),
        ("not_equivalent", "equivalent"),
        ("accuracy", "f1"),
        positive="equivalent",
        # Its test split has gold labels, as no other has.
        splits=("validation", "test"),
        published=_published("accuracy", 90.9),
    ),
    _task(
        "stsb",
        _columns("sentence1", "sentence2"),
        (),
        ("pearson", "spearman"),
        folders=("sts-b",),
        published=_published("pearson", 92.4),
    ),
    _task(
        "qqp",
        _columns("question1", "question2"),
        ("not_duplicate", "duplicate"),
        ("accuracy", "f1"),
        positive="duplicate",
        published=_published("accuracy", 92.2),
    ),
    BenchmarkTask(
        name="mnli",
        kind="classification",
        metrics=("accuracy",),
        splits=_mnli_splits,
        read=_read_mnli,
        labels=INFERENCE,
        aliases=_INFERENCE_ALIASES,
        subsets=PARTS,
        default_splits=("validation",),
        published=_published("accuracy", 90.2, "mean"),
    ),
    _task(
        "qnli",
        _columns("question", "sentence"),
        ("entailment", "not_entailment"),
        ("accuracy",),
        aliases=_NOT_ENTAILMENT,
        published=_published("accuracy", 94.7),
    ),
    _task(
        "rte",
        _columns("sentence1", "sentence2"),
        ("entailment", "not_entailment"),
        ("accuracy",),
        aliases=_NOT_ENTAILMENT,
        published=_published("accuracy", 86.6),
    ),
    _task(
        "wnli",
        _columns("sentence1", "sentence2"),
        ("not_entailment", "entailment"),
        ("accuracy",),
        aliases=_NOT_ENTAILMENT,
    ),
    _task(
        "ax",
        _columns("premise", "hypothesis"),
        INFERENCE,
        ("matthews",),
        aliases=_INFERENCE_ALIASES,
        splits=("test",),
        uses_head_of="mnli",
    ),
)
BENCHMARK = Benchmark(
    "glue",
    _TASKS,
    notes=(
        "A task with two metrics is averaged first, MNLI over matched and mismatched; the mean over nine tasks is "
        "unweighted, without AX. Papers count in several ways: the mean over eight, without WNLI, stands beside.",
    ),
)

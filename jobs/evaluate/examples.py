"""What a benchmark is made of: its tasks, and their examples as prepared for annotation.

Benchmarks come in many layouts. Each is brought into one form: a table of examples for each subset (a language, or
a part such as the matched one of MNLI), with the columns of its kind. Such a table is the input of an annotation
job, and its columns are carried to the output, so that predictions lie beside the gold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

if TYPE_CHECKING:
    from jobs.evaluate.data.files import DataFiles

Kind = Literal[
    "classification",
    "multi-label",
    "regression",
    "multiple-choice",
    "question-answering",
    "words",
    "translation-quality",
]

Rules = Literal["squad-1.1", "squad-2.0", "mlqa"]
ROW, GOLD = "row", "gold"
SYSTEM, SEGMENT = "system", "segment"
WHOLE = "all"
"""The only subset of a task that has no parts."""
_PAIR = {"text": pa.string(), "text_pair": pa.string()}
_COLUMNS: dict[Kind, dict[str, pa.DataType]] = {
    "classification": {**_PAIR, GOLD: pa.string()},
    "multi-label": {**_PAIR, GOLD: pa.list_(pa.string())},
    "regression": {**_PAIR, GOLD: pa.float64()},
    "multiple-choice": {"prompt": pa.string(), "choices": pa.list_(pa.string()), GOLD: pa.int32()},
    "question-answering": {
        "id": pa.string(),
        "question": pa.string(),
        "context": pa.string(),
        GOLD: pa.list_(pa.string()),
    },
    "words": {"words": pa.list_(pa.string()), GOLD: pa.list_(pa.string())},
    "translation-quality": {
        "source": pa.string(),
        "translation": pa.string(),
        "reference": pa.string(),
        GOLD: pa.float64(),
        SYSTEM: pa.string(),
        SEGMENT: pa.string(),
    },
}
SCHEMAS: Mapping[Kind, pa.Schema] = {
    kind: pa.schema([(ROW, pa.int64()), *columns.items()]) for kind, columns in _COLUMNS.items()
}
"""Columns of prepared examples, in this order.

`row` is the number of the example in its file or files, from 0; in parallel benchmarks equal numbers are
translations of each other. `gold` is null where the benchmark keeps it secret. Class labels are names, never
numbers. `text_pair` is null in all rows of tasks on single texts, `reference` without references, and `system` and
`segment` where no columns are named for them. The gold of a question is its answers; an empty list is a question
without answer (SQuAD 2.0).
"""


@dataclass(frozen=True)
class Published:
    """Figures in percent that others have published, with where and how they were measured.

    `values` by subset (`WHOLE` where there are no parts); "mean" is the published average.
    """

    system: str
    setting: str
    source: str
    split: str
    metric: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Average:
    """An unweighted mean over subsets, without those `excluded`."""

    name: str = "mean"
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BenchmarkTask:
    """One task of a benchmark, for which one head is needed.

    Attributes:
        name: as on the command line: "xnli", "mnli".
        labels: names of the classes (or of the word labels) by the class id of the data; empty where there are
            none, or where they come from the data.
        aliases: other spellings that heads and files have for a label, casefolded, to the label.
        metrics: names of the metrics that are official, in the order in which they are printed: accuracy,
            matthews, f1 (of the class `positive`; of tokens for answers), pearson, spearman, exact_match,
            token_accuracy, xtreme_f1, entity_f1. A task with several is averaged first. One's own data also have
            macro_f1, micro_f1, average_precision, mae (mean absolute error), and for translations kendall, acc_eq,
            system_pearson and system_accuracy, which no average covers.
        subsets: known subsets in the order in which they are printed. Empty: whatever is in the data.
        splits: the splits that its files have, sorted.
        read: prepared examples by subset, in the order of `subsets`, of a split; `wanted` subsets, or all that are
            there. Raises InputError, also where there are none.
        rules: how answers are compared.
        is_parallel: whether rows of equal number in all subsets are translations of each other.
        default_splits: the first of these that is there is evaluated unless another one is asked for.
        published: shown beside figures of the same split only.
        uses_head_of: the task whose head is used where none is given (ax: mnli).
    """

    name: str
    kind: Kind
    metrics: tuple[str, ...]
    splits: Callable[["DataFiles"], tuple[str, ...]]
    read: Callable[["DataFiles", str, Sequence[str] | None], dict[str, pa.Table]]
    labels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    subsets: tuple[str, ...] = ()
    positive: str | None = None
    rules: Rules | None = None
    is_parallel: bool = False
    default_splits: tuple[str, ...] = ("test", "validation")
    averages: tuple[Average, ...] = (Average(),)
    published: tuple[Published, ...] = ()
    uses_head_of: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by its name on the command line; `notes` are printed under its table, a sentence each."""

    name: str
    tasks: tuple[BenchmarkTask, ...]
    notes: tuple[str, ...] = ()

"""Translations with judgements of people: how well predicted scores agree with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.benchmarks.own_data import NAME, files_of_own_split, own_splits
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.prepare import by_key, examples, keys_of, numbers
from jobs.evaluate.data.reading import Column, Rows, read_rows
from jobs.evaluate.data.subsets import choose_subsets
from jobs.evaluate.examples import GOLD, SEGMENT, SYSTEM, WHOLE, BenchmarkTask, Kind
from jobs.evaluate.scoring.translations import OF_ROWS, OF_SEGMENTS, OF_SYSTEMS
from pipeline.errors import ConfigError, InputError
from pipeline.storage.printable import printable

MT_QUALITY = "mt-quality"
KIND: Kind = "translation-quality"
LANGUAGE_PAIR = "language_pair"
TEXTS: Mapping[str, str | None] = {"source": "source", "translation": "translation", "reference": None}
"""The texts by role, and the columns that they are in unless others are named; no reference unless it is named."""


@dataclass(frozen=True)
class JudgedColumns:
    """Where judged translations are.

    Attributes:
        gold: the column with the judgements, numbers; the more, the better.
        columns: by role (source, translation, reference) the column.
        language_pair: a column whose values are scored apart.
        system: the column that says which system translated, for metrics of systems.
        segment: the column that is equal in translations of one segment, for acc_eq.
        option: the option that names texts, for messages.
    """

    gold: str
    columns: Mapping[str, str] = field(default_factory=dict)
    language_pair: str | None = None
    system: str | None = None
    segment: str | None = None
    option: str = "--columns"


def mt_quality_task(files: DataFiles, judged: JudgedColumns, split: str) -> BenchmarkTask:
    """The task of judged translations; metrics of segments and of systems where their columns are named.

    Raises ConfigError for columns of other roles, InputError if the files have no such split.
    """
    for role in judged.columns:
        if role not in TEXTS:
            raise ConfigError(
                f"{judged.option}: found a column for {role}, expected columns for {', '.join(TEXTS)} only; "
                "leave it out"
            )
    files_of_own_split(files, split)
    metrics: tuple[str, ...] = OF_ROWS
    metrics += OF_SEGMENTS if judged.segment is not None else ()
    metrics += OF_SYSTEMS if judged.system is not None else ()
    return BenchmarkTask(
        name=NAME,
        kind=KIND,
        metrics=metrics,
        splits=own_splits,
        read=partial(_read, judged),
        default_splits=(split,),
    )


def left_out(metrics: Sequence[str]) -> list[str]:
    """What is not among the metrics, and why: a sentence each."""
    notes = []
    if not {*OF_SEGMENTS} <= {*metrics}:
        notes.append("acc_eq is left out: it compares translations of one segment, and --segment names no column.")
    if not {*OF_SYSTEMS} <= {*metrics}:
        notes.append("Systems are not compared, as --system names no column.")
    return notes


def _read(
    judged: JudgedColumns, files: DataFiles, split: str, wanted: Sequence[str] | None
) -> dict[str, pa.Table]:
    texts = {role: judged.columns.get(role, column) for role, column in TEXTS.items()}
    keys = {LANGUAGE_PAIR: judged.language_pair, SYSTEM: judged.system, SEGMENT: judged.segment}
    columns = {GOLD: Column(judged.gold, "number", "--gold")}
    columns |= {role: Column(path, "text", judged.option) for role, path in texts.items() if path is not None}
    columns |= {
        role: Column(path, "class", f"--{role.replace('_', '-')}")
        for role, path in keys.items()
        if path is not None
    }
    rows = read_rows(files, files_of_own_split(files, split), columns)
    prepared: dict[str, pa.Array | pa.ChunkedArray] = {
        role: rows.columns[role] for role in texts if role in columns
    }
    prepared |= {role: keys_of(rows, role) for role in (SYSTEM, SEGMENT) if role in columns}
    table = examples(KIND, rows.num_rows, {**prepared, GOLD: numbers(rows, GOLD)})
    if judged.language_pair is None:
        choose_subsets(MT_QUALITY, [WHOLE], [WHOLE], wanted, files, split)
        found = {WHOLE: table}
    else:
        tables = by_key(table, keys_of(rows, LANGUAGE_PAIR))
        found = {name: tables[name] for name in choose_subsets(MT_QUALITY, tables, tables, wanted, files, split)}
    for name, subset in found.items():
        _require_pairs(rows, columns, name, subset)
    return found


def _require_pairs(rows: Rows, columns: Mapping[str, Column], name: str, table: pa.Table) -> None:
    """Raise InputError where there is nothing to compare: no segment with two translations, or one system only."""
    judged = table.filter(pc.is_valid(table[GOLD]))
    where = "" if name == WHOLE else f" of {printable(name)}"
    if SYSTEM in columns and pc.count_distinct(judged[SYSTEM]).as_py() == 1:
        raise InputError(
            f"{rows.where(SYSTEM)}: found one system in the judged rows{where}, expected two or more; leave "
            "--system out, or that language pair with --languages"
        )
    num_segments = pc.count_distinct(judged[SEGMENT]).as_py() if SEGMENT in columns else 0
    if SEGMENT in columns and num_segments == judged.num_rows > 0:
        raise InputError(
            f"{rows.where(SEGMENT)}: found one translation of each segment in the judged rows{where}, expected "
            "several of some; leave --segment out, or that language pair with --languages"
        )

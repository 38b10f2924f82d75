"""Read questions with contexts and answers in the columns of SQuAD, which its relatives share."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.data.files import DataFile, DataFiles
from jobs.evaluate.data.prepare import answers, examples
from jobs.evaluate.data.reading import Column, read_rows
from jobs.evaluate.examples import GOLD

METRICS = ("f1", "exact_match")
_COLUMNS = {
    "id": Column("id", "text"),
    "question": Column("question", "text"),
    "context": Column("context", "text"),
    GOLD: Column("answers.text", "texts"),
}


def read_questions(files: DataFiles, chosen: Sequence[DataFile], *, may_be_none: bool = False) -> pa.Table:
    """Examples of questions; ones without answer are refused unless they `may_be_none`. Raises InputError."""
    rows = read_rows(files, chosen, _COLUMNS)
    gold = answers(rows, GOLD, may_be_none=may_be_none)
    return examples("question-answering", rows.num_rows, {**rows.columns, GOLD: gold})

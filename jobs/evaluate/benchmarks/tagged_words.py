"""Read sentences of labelled words, in the columns of the hub: `tokens` and one for the labels."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.data.files import DataFile, DataFiles
from jobs.evaluate.data.prepare import examples, word_labels
from jobs.evaluate.data.reading import Column, read_rows
from jobs.evaluate.examples import GOLD


def read_tagged_words(files: DataFiles, chosen: Sequence[DataFile], tags: str, labels: Sequence[str]) -> pa.Table:
    """Examples of words with the labels of the column `tags`, names or class ids. Raises InputError."""
    rows = read_rows(files, chosen, {"words": Column("tokens", "texts"), GOLD: Column(tags, "classes")})
    gold = word_labels(rows, GOLD, "words", labels, {})
    return examples("words", rows.num_rows, {**rows.columns, GOLD: gold})

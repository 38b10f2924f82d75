"""Write the demo's held-out tagged sentences in the layout of the public UD benchmark, for `jobs.evaluate`."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.demo.training.languages import POS_LANGUAGES
from jobs.demo.training.texts import TaggedSentence

_FILE = "validation-00000-of-00001.parquet"


def write_held_out(sentences: Sequence[TaggedSentence], directory: Path) -> None:
    """Write `LANG/validation-00000-of-00001.parquet` with the columns `tokens` and `pos_tags`."""
    for code in POS_LANGUAGES:
        chosen = [sentence for sentence in sentences if sentence.language == code]
        columns = {
            "tokens": [list(sentence.words) for sentence in chosen],
            "pos_tags": [list(sentence.tags) for sentence in chosen],
        }
        (directory / code).mkdir(parents=True, exist_ok=True)
        kind = pa.list_(pa.string())
        pq.write_table(pa.table(columns, schema=pa.schema(dict.fromkeys(columns, kind))), directory / code / _FILE)

"""Make what COMET says of the pairs: `python -m tests.comet.make_expected ENVIRONMENT`.

ENVIRONMENT is a folder that `tests.comet.environment` made. Files in `expected/`, one a checkpoint, hold for each
pair the scores and spans; pairs with a text that COMET's tokenizer (the fast one of Transformers) gives other ids
than sentencepiece does are marked and compared by no test.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model import XLMRobertaXLTokenizer
from tests.comet.checkpoints import (
    CHECKPOINT_FILE,
    CHECKPOINTS,
    DEMO_TOKENIZER,
    ROOT,
    SMALL,
    Geometry,
    write_pretrained,
    write_raw,
)
from tests.comet.environment import python_of
from tests.comet.pairs import Pair, digest_of, edge_pairs, sample_pairs

EXPECTED = Path(__file__).parent / "expected"
SPANS = pa.list_(
    pa.struct(
        {"severity": pa.string(), "start": pa.int32(), "end": pa.int32(), "confidence": pa.float32(),
         "text": pa.string()}
    )
)  # fmt: skip
_NAMES = {
    "score": "score",
    "src_scores": "src_score",
    "ref_scores": "ref_score",
    "unified_scores": "unified_score",
    "mqm_scores": "mqm_score",
    "error_spans": "spans",
}


def main(environment: Path) -> None:
    """Ask COMET, and write the files."""
    tokenizer = XLMRobertaXLTokenizer(DEMO_TOKENIZER)
    pairs = sample_pairs() + edge_pairs(tokenizer)
    answer = ask(environment, pairs, DEMO_TOKENIZER, SMALL)
    other_ids = texts_of_other_ids(tokenizer, answer["ids"])
    compared = [not {pair.source, pair.translation, pair.reference} & other_ids for pair in pairs]
    print(f"{sum(compared)} of {len(pairs)} pairs are compared, {len(other_ids)} texts have other ids")
    EXPECTED.mkdir(exist_ok=True)
    for name, outputs in answer["outputs"].items():
        table = table_of(pairs, compared, outputs)
        facts = {"pairs": digest_of(pairs), **answer["versions"]}
        pq.write_table(table.replace_schema_metadata(facts), EXPECTED / f"{name}.parquet", compression="zstd")


def ask(environment: Path, pairs: Sequence[Pair], vocab_file: Path, geometry: Geometry) -> dict[str, Any]:
    """The answer of COMET about all checkpoints, with this tokenizer and sizes."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_pretrained(folder / "pretrained", vocab_file, geometry)
        for each in CHECKPOINTS:
            write_raw(folder / each.name, each, str(folder / "pretrained"), geometry)
        checkpoints = {each.name: str(folder / each.name / CHECKPOINT_FILE) for each in CHECKPOINTS}
        asked = [
            {"source": pair.source, "translation": pair.translation, "reference": pair.reference} for pair in pairs
        ]
        request, answer = folder / "request.json", folder / "answer.json"
        request.write_text(json.dumps({"pairs": asked, "checkpoints": checkpoints}), encoding="utf-8")
        command = [str(python_of(environment)), "-m", "tests.comet.oracle", str(request), str(answer)]
        subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found


def texts_of_other_ids(tokenizer: XLMRobertaXLTokenizer, ids: Mapping[str, Sequence[int]]) -> set[str]:
    """The texts that sentencepiece gives other ids than these."""
    return {text for text, found in ids.items() if tokenizer.encode(text, add_special_tokens=False) != list(found)}


def table_of(
    pairs: Sequence[Pair], compared: Sequence[bool], outputs: Mapping[str, Mapping[str, Any]]
) -> pa.Table:
    """A row for each pair: its kind, whether it is compared, and a struct `without` and one `with` references."""
    columns: dict[str, pa.Array] = {
        "kind": pa.array([pair.kind for pair in pairs]),
        "is_compared": pa.array(compared),
    }
    return pa.table(columns | {mode: column_of(values) for mode, values in outputs.items()})


def column_of(values: Mapping[str, Any]) -> pa.StructArray:
    """COMET's outputs under the names of this package."""
    arrays = {
        _NAMES[name]: pa.array(column, SPANS if name == "error_spans" else pa.float32())
        for name, column in values.items()
    }
    return pa.StructArray.from_arrays(list(arrays.values()), list(arrays))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Convert checkpoints as they are downloaded, and score pairs with them by the path of a row."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.convert.command import main as convert
from model import ShardGroup
from tests.comet.checkpoints import (
    CHECKPOINTS,
    DEMO_TOKENIZER,
    NUM_HEADS,
    SMALL,
    Geometry,
    write_pretrained,
    write_raw,
)
from tests.comet.pairs import Pair
from tests.pipeline_in_process import annotate_in_process


def convert_all(directory: Path, vocab_file: Path = DEMO_TOKENIZER, geometry: Geometry = SMALL) -> None:
    """Every checkpoint into a folder of its name."""
    pretrained = directory / "pretrained"
    write_pretrained(pretrained, vocab_file, geometry)
    for checkpoint in CHECKPOINTS:
        raw = write_raw(directory / "raw" / checkpoint.name, checkpoint, str(pretrained), geometry)
        arguments = ["--num-attention-heads", str(NUM_HEADS), "--tokenizer", str(pretrained)]
        assert convert([str(raw), str(directory / checkpoint.name), *arguments]) == 0


def score(
    group: ShardGroup,
    converted: Path,
    pairs: Sequence[Pair],
    *,
    with_reference: bool,
    blank: str = "score",
    token_budget: int = 2048,
) -> list[dict[str, Any]]:
    """The rows of a job: what it is given, `error`, and `quality`. Importable by ranks."""
    head = {"task": "translation-quality", "weights": str(converted), "blank": blank}
    head |= {"reference": "reference"} if with_reference else {}
    table = pa.Table.from_pylist([asdict(pair) for pair in pairs])
    with tempfile.TemporaryDirectory() as directory:
        output, _ = annotate_in_process(
            Path(directory), table, {"quality": head}, converted, group=group, token_budget=token_budget
        )
    rows: list[dict[str, Any]] = output.to_pylist()
    return rows

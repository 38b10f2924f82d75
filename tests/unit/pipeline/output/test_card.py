"""The card of an output: what the hub reads of it, and that names cannot break it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from pipeline.config.job import JobConfig
from pipeline.driver.prepared_run import PreparedRun, RunOptions, prepare_run
from pipeline.output.card import CARD, card_text, model_name, write_card
from pipeline.output.inventory import Inventory
from pipeline.row_errors import ErrorKind
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint
from tests.unit.pipeline.input_files import rows, write

TEXT = "Geheimnis"


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedRun:
    """A run over three rows, whose column and labels have names that Markdown would take for something else."""
    table = rows(3).append_column("a|b`c", pa.array([TEXT] * 3))
    write(tmp_path / "in" / "a.parquet", table)
    model = tiny_checkpoint(tmp_path / "tiny", id2label={0: "sport", 1: "x|y"})
    heads = {"topic": {"task": "text-classification"}, "loss": {"task": "masked-lm-loss"}}
    sections: dict[str, Any] = {
        name: {"path": str(path)}
        for name, path in (("model", model), ("input", tmp_path / "in"), ("output", tmp_path / "out"))
    }
    return prepare_run(JobConfig.model_validate({**sections, "heads": heads}), RunOptions(), print)


def inventory_of(prepared: PreparedRun) -> Inventory:
    inventory = Inventory(prepared.output, prepared.plan.fragments)
    inventory.num_errors[0], inventory.num_tokens[0], inventory.num_windows[0] = 2, 1234, 5
    inventory.errors[0, list(ErrorKind).index(ErrorKind.NO_TEXT)] = 2
    return inventory


def test_the_card_says_what_was_annotated_by_which_model(prepared: PreparedRun) -> None:
    arguments = (prepared.identity, prepared.heads, prepared.plan.carried_schema)
    text = card_text(inventory_of(prepared), *arguments)
    front, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front) == {
        "configs": [{"config_name": "default", "data_files": "**/*.parquet"}],
        "size_categories": ["n<1K"],
        "tags": ["xlm-roberta-xl", "xlmr-ray"],
    }
    lines = body.splitlines()
    assert "| `a\\|b'c` | `string` | carried from the input |" in lines
    assert "| `error` | `string` | why heads have no value for the row; null if all went well |" in lines
    assert "- `topic`: `sport`, `x\\|y`" in lines
    assert "- rows with an error: 2 (no_text 2)" in lines
    assert "- tokens: 1,234, in 5 windows" in lines
    assert any(line.startswith("| `topic` | `text-classification` | `tiny` | `tiny` | `") for line in lines)
    assert TEXT not in text
    assert str(prepared.job.model.path) not in text


def test_the_card_is_written_once(prepared: PreparedRun, tmp_path: Path) -> None:
    arguments = (inventory_of(prepared), prepared.identity, prepared.heads, prepared.plan.carried_schema)
    write_card(prepared.output, *arguments)
    path = tmp_path / "out" / CARD
    before = path.stat().st_mtime_ns
    write_card(prepared.output, *arguments)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/cache/hub/models--facebook--xlm-roberta-xl/snapshots/abc", "facebook/xlm-roberta-xl"),
        ("models/topic-xl/", "topic-xl"),
    ],
)
def test_models_have_their_names_of_the_hub(directory: str, name: str) -> None:
    assert model_name(directory) == name

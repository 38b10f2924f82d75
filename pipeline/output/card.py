"""`_manifest/card.md`: a dataset card in the format of the Hugging Face Hub, with no text of the corpus.

It has a name and folder that readers of Parquet pass over; on the hub it would be `README.md` beside the parts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import numpy as np
import pyarrow as pa

from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, output_schema
from pipeline.heads.resolve import Head, output_types
from pipeline.output.inventory import Inventory, errors_by_kind
from pipeline.output.manifest import run_digest
from pipeline.output.output_folder import MANIFEST, OutputFolder
from pipeline.storage.printable import number_of

CARD = f"{MANIFEST}/card.md"
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_LARGEST_SIZE = "10B<n<100B"
_MEANINGS = {
    NUM_TOKENS: "tokens of the texts that were read, before truncation",
    NUM_WINDOWS: "windows that the model read",
    ERROR: "why heads have no value for the row; null if all went well",
}
_MAX_LABELS = 100


def write_card(
    output: OutputFolder,
    inventory: Inventory,
    identity: Mapping[str, str],
    heads: Sequence[Head],
    carried: pa.Schema,
) -> None:
    """Write the card of an output that is complete, unless it is there. Equal outputs have equal cards."""
    data = card_text(inventory, identity, heads, carried).encode(errors="replace")
    if output.read(CARD) != data:
        output.put(CARD, data)


def card_text(inventory: Inventory, identity: Mapping[str, str], heads: Sequence[Head], carried: pa.Schema) -> str:
    """The card: YAML metadata, columns with types and meanings, models, and counts."""
    lines = [
        *_metadata(int(inventory.table.num_rows.sum())),
        "# Annotations",
        "",
        f"A corpus, annotated by xlmr-ray {identity.get('code', '')}: one row for each row of the input, in",
        "its order.",
        "",
        "## Columns",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *_columns(heads, carried),
        "",
        "## Models",
        "",
        "| column | task | weights | trunk | digests of weights and trunk |",
        "|---|---|---|---|---|",
        *(_model(head, identity) for head in heads),
        "",
        *_labels(heads),
        "## Counts",
        "",
        *_counts(inventory),
        f"- run: {run_digest(identity)}",
    ]
    return "\n".join(lines) + "\n"


def _metadata(num_rows: int) -> list[str]:
    """The YAML at the top. JSON strings are YAML, too."""
    category = int(np.searchsorted([10 ** (3 + i) for i in range(len(_SIZES))], num_rows, side="right"))
    size = [*_SIZES, _LARGEST_SIZE][category]
    return [
        "---",
        "configs:",
        "- config_name: default",
        '  data_files: "**/*.parquet"',
        "size_categories:",
        f"- {json.dumps(size)}",
        "tags:",
        '- "xlm-roberta-xl"',
        '- "xlmr-ray"',
        "---",
        "",
    ]


def _columns(heads: Sequence[Head], carried: pa.Schema) -> Iterable[str]:
    meanings = _MEANINGS | {head.name: _first_line(head.options.__doc__) for head in heads}
    for field in output_schema(carried, output_types(heads)):
        meaning = meanings.get(field.name, "carried from the input")
        yield f"| {_cell(field.name)} | {_cell(str(field.type))} | {_text(meaning)} |"


def _model(head: Head, identity: Mapping[str, str]) -> str:
    digests = (identity.get(f"heads.{head.name}.{kind}", "")[:16] for kind in ("weights", "trunk"))
    cells = [head.name, head.options.task, model_name(head.options.weights), model_name(head.trunk), *digests]
    return "| " + " | ".join([*map(_cell, cells[:4]), ", ".join(map(_cell, cells[4:]))]) + " |"


def _labels(heads: Sequence[Head]) -> Iterable[str]:
    listed = [(head, head.task.label_names(head.options, head.config)) for head in heads]
    if not any(labels for _, labels in listed):
        return
    yield from ("## Labels", "")
    for head, labels in listed:
        if labels:
            more = f" and {len(labels) - _MAX_LABELS:,} more" if len(labels) > _MAX_LABELS else ""
            yield f"- {_cell(head.name)}: {', '.join(map(_cell, labels[:_MAX_LABELS]))}{more}"
    yield ""


def _counts(inventory: Inventory) -> Iterable[str]:
    yield f"- files: {len(inventory.table.files):,}, in {number_of(len(inventory.table), 'part')}"
    yield f"- rows: {int(inventory.table.num_rows.sum()):,}"
    windows = number_of(int(inventory.num_windows.sum()), "window")
    yield f"- tokens: {int(inventory.num_tokens.sum()):,}, in {windows}"
    kinds = errors_by_kind(inventory.errors.sum(axis=0))
    by_kind = f" ({', '.join(f'{kind} {count:,}' for kind, count in kinds.items())})" if kinds else ""
    yield f"- rows with an error: {int(inventory.num_errors.sum()):,}{by_kind}"


def model_name(directory: str) -> str:
    """What a model is called: its hub id if it is in the hub's cache, else the name of its directory."""
    path = PurePath(directory)
    cached = [part for part in path.parts if part.startswith("models--")]
    return cached[-1].removeprefix("models--").replace("--", "/") if cached else path.name


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0].rstrip(".")


def _cell(text: str) -> str:
    """Code in a cell of a table: names may hold anything, also what ends a cell or code in Markdown."""
    shown = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{shown}`" if shown else ""


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

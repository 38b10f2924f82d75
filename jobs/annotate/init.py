"""`--init`: write a commented job file for a Parquet file, from its schema and its first rows."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from pipeline.arrays.column_types import plain_type, sent_type, unpacked
from pipeline.arrays.nested_columns import all_paths, find_path, path_field, path_type
from pipeline.columns import equal_but_for_case, reserved_name_problem
from pipeline.errors import ConfigError, FragmentError, InputError, UnreadableFileError
from pipeline.input.file_listing import list_input_files
from pipeline.input.file_planning import plan_files
from pipeline.input.file_plans import FilePlan, Planner
from pipeline.input.fragment_table import FragmentTable
from pipeline.input.hive_partitions import partition_values
from pipeline.input.planner_process import Entry
from pipeline.input.read_columns import ReadColumns
from pipeline.input.reading import FragmentReader
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import is_uri
from pipeline.storage.printable import number_of, printable

LIKELY_NAMES = ("text", "content", "body", "document", "sentence", "article", "passage", "raw_content")
"""Names of columns that are probably the text; their values count as `_WEIGHT` times as long."""
_WEIGHT = 10
_MAX_ROWS, _MAX_BYTES = 1000, 8 * 2**20
_MAX_FILES = 16
_MAX_SHOWN = 8
_FIELD = "--init"


@dataclass(frozen=True)
class TextColumn:
    """A column of strings, by name or dotted path, and the mean number of characters of its values."""

    path: str
    mean_chars: float

    @property
    def weight(self) -> float:
        """How much like the text of a corpus it looks; above 0, so that names decide where there are no values."""
        return (1 + self.mean_chars) * (_WEIGHT if self.path.rpartition(".")[2].lower() in LIKELY_NAMES else 1)


@dataclass(frozen=True)
class InputFacts:
    """What is known of an input: of a file that can be read its columns, and why some of them cannot be carried.

    Attributes:
        texts: the columns of strings, the likeliest text first.
        num_rows: the rows that were looked at.
        keys: Hive partition columns.
        root: the folder that is searched, on a local disk.
    """

    columns: tuple[str, ...]
    unwritable: frozenset[str]
    texts: tuple[TextColumn, ...]
    num_rows: int
    keys: tuple[str, ...]
    root: str | None


def write_job(path: str, output: str | None) -> None:
    """Write a job for the Parquet at a path to a new file, or to standard output.

    Raises InputError if nothing can be read or no column has strings, ConfigError if the file is there.
    """
    text = job_text(path, look_at(path))
    if output is None:
        print(text, end="")
        return
    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"--init-output: {output} cannot be written: {error.strerror}; expected a new file in a writable "
            "folder; choose another"
        ) from None


def look_at(path: str) -> InputFacts:
    """The columns of the first file that can be read, and the lengths of its strings."""
    filesystem, files, selections, _ = list_input_files([path], _FIELD)
    planner = Planner(filesystem, ReadColumns({}, None, None), _MAX_ROWS, _MAX_BYTES)
    keys = [partition_values(file.relative_path) for file in files[:_MAX_FILES]]
    entries = [Entry(*entry) for entry in zip(range(len(keys)), files, keys, strict=False)]
    outcomes = plan_files(planner, entries)
    found = next((outcome for outcome in outcomes if isinstance(outcome, FilePlan)), None)
    if found is None:
        raise InputError(
            f"{_FIELD}: found {number_of(len(entries), 'file')} that cannot be read, expected one that can; the "
            f"first, {printable(files[0].path)}: {outcomes[0]}; check the files"
        )
    described = planner.file_columns[found.columns]
    columns = unpacked(described.schema)
    paths = [name for name in all_paths(columns) if _is_text(columns, name)]
    if not paths:
        raise InputError(
            f"{_FIELD}: {printable(found.file.path)} has no column of strings, found "
            f"{', '.join(printable(f'{field.name}: {field.type}') for field in columns)}; name another file"
        )
    rows = _first_rows(found, columns, paths, filesystem)
    means = [pc.mean(pc.utf8_length(rows[name].cast(pa.string()).fill_null(""))).as_py() or 0.0 for name in paths]
    texts = [TextColumn(*text) for text in zip(paths, means, strict=True)]
    is_folder = filesystem.type_name == "local" and not os.path.isfile(path)
    return InputFacts(
        tuple(columns.names),
        frozenset(described.unwritable),
        tuple(sorted(texts, key=lambda text: -text.weight)),
        rows.num_rows,
        tuple(keys[outcomes.index(found)]),
        selections[0].root if is_folder else None,
    )


def _is_text(columns: pa.Schema, name: str) -> bool:
    steps = find_path(columns, name)
    if steps is None:
        return False
    type_ = plain_type(path_type(columns, steps))
    return bool(pa.types.is_string(type_))


def _first_rows(plan: FilePlan, columns: pa.Schema, paths: Sequence[str], filesystem: fs.FileSystem) -> pa.Table:
    fields = []
    for name in paths:
        steps = find_path(columns, name)
        assert steps is not None, name
        fields.append(pa.field(name, sent_type(path_field(columns, steps).type)))
    schema = pa.schema(fields)
    fragments = FragmentTable([(plan.file, plan.cuts)])
    if not len(fragments):
        return schema.empty_table()
    try:
        return FragmentReader(schema, filesystem).read(fragments[0])
    except (FragmentError, UnreadableFileError) as error:
        raise InputError(f"{_FIELD}: {printable(str(error))}") from None


def job_text(path: str, facts: InputFacts) -> str:
    """The job file: an embedding of the likeliest text, and other heads as comments."""
    text, *others = facts.texts
    vector, loss = _head_name("vector", facts), _head_name("loss", facts)
    more = "".join(f"\n#   {_described(each)}" for each in others[:_MAX_SHOWN])
    hidden = f"\n#   and {len(others) - _MAX_SHOWN} more" if len(others) > _MAX_SHOWN else ""
    candidates = f"\n# Other columns of strings:{more}{hidden}" if others else ""
    return f"""\
# Written by `xlmr-annotate --init` for {printable(without_secret(path))}
# Change what is marked with <-, then
#   xlmr-annotate JOB.toml --plan          shows what would be done
#   xlmr-annotate JOB.toml --sample 100    shows what comes out, and how long all of it takes
#   xlmr-annotate JOB.toml                 does it

[model]
path = "models/xlm-roberta-xl"   # <- a directory in Hugging Face layout, or a hub id

[input]
path = {_toml(_literal(path))}
# Guessed: of the columns of strings this one has the longest values, on average over {facts.num_rows:,} rows
# (values of columns named {", ".join(LIKELY_NAMES[:3])} and the like count {_WEIGHT} times):
#   {_described(text)}{candidates}
text = {_toml(text.path)}   # <- if that is another column
{_carried(facts)}

[output]
path = {_toml(_literal(_output_of(facts)))}   # <- a new folder, local or s3://...

# One table a head; its name is the name of its column in the output.
[heads.{vector}]
task = "embedding"               # a vector for each text; needs nothing but the model

# [heads.{loss}]
# task = "masked-lm-loss"          # how hard a text is to guess; to filter by
# strategy = "all"                 # masks each token in turn: exact, but a pass for each token

# [heads.topic]
# task = "text-classification"
# weights = "models/topic"         # a checkpoint that was fine-tuned for it, with its labels
# trunk = "models/topic"           # unless only its head was trained

# [run]
# cost_per_hour = 10.0             # the price of the cluster, for estimates
"""


def _head_name(name: str, facts: InputFacts) -> str:
    """A name that no column of the output has, in any case."""
    taken = {column.lower() for column in (*facts.columns, *facts.keys)}
    return next(each for each in chain([name], map(f"{name}_{{}}".format, count(2))) if each not in taken)


def _carried(facts: InputFacts) -> str:
    """The line on the columns that are copied to the output; a comment where all can be."""
    names = list(dict.fromkeys(facts.columns))
    twice = {name for _, name in equal_but_for_case(names)} | {n for n in names if facts.columns.count(n) > 1}
    left_out = [n for n in names if reserved_name_problem(n) or n in facts.unwritable or n in twice]
    carried = [name for name in names if name not in left_out]
    line = f"columns = {_toml(carried)}"
    if not left_out:
        return f"# {line}\n# (all columns are copied to the output, unless they are listed here)"
    reason = "Left out, as the output cannot have them:"
    return f"# {reason} {', '.join(printable(name) for name in left_out)}\n{line}"


def _described(column: TextColumn) -> str:
    return f"{printable(column.path)}: {column.mean_chars:,.0f} characters"


def _output_of(facts: InputFacts) -> str:
    """A folder that is not searched for input."""
    if facts.root is not None and Path.cwd().is_relative_to(facts.root):
        return f"{facts.root.rstrip('/')}-annotated"
    return "annotated"


def _literal(path: str) -> str:
    """A path in which a job file expands nothing."""
    escaped = path.replace("$", "$$")
    return f"./{escaped}" if escaped.startswith("~") and not is_uri(path) else escaped


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""The folder of an evaluation: prepared examples, one output per task, and what was found.

```
OUT/_inputs/TASK/SUBSET.parquet   what is annotated
OUT/TASK/                         the output of the annotation: predictions beside the gold
OUT/_manifest/                    evaluation.json, results.json, tables, report, submission
```
Readers of Parquet folders pass over names that begin with an underscore.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from jobs.evaluate.examples import Kind, Rules
from pipeline.errors import InputError
from pipeline.fragments import PartName
from pipeline.output.json_records import Count, parse_record, record_json
from pipeline.output.output_folder import MANIFEST, OutputFolder
from pipeline.output.output_path import open_output
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.local_files import WORKSPACES

RECORD = f"{MANIFEST}/evaluation.json"
INPUTS = "_inputs"
FORMAT = 1
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9-]")


@dataclass(frozen=True)
class SubsetRecord:
    """The prepared examples of a subset: how many, how many of them have a gold, and the SHA-256 of their file."""

    num_rows: Count
    num_gold: Count
    sha256: str


@dataclass(frozen=True)
class TaskRecord:
    """What was annotated for a task, so that it can be scored without the model.

    Attributes:
        limit: rows of each subset that were evaluated; None: all.
        labels: the benchmark's names of the head's labels, by these.
        labels_as_given: whether the user vouches for them.
        missing: known subsets that were not evaluated.
        options: the head's options in the annotation job, as text.
        identity: that of the annotation run, with digests of weights and tokenizer.
    """

    kind: Kind
    metrics: tuple[str, ...]
    rules: Rules | None
    split: str
    limit: Annotated[int, Field(ge=1)] | None
    model: str
    head: str
    labels: dict[str, str]
    labels_as_given: bool
    subsets: dict[str, SubsetRecord]
    missing: tuple[str, ...]
    options: dict[str, str]
    identity: dict[str, str]


@dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation: its benchmark as named on the command line, and its tasks by name."""

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    benchmark: str
    command: str
    tasks: dict[str, TaskRecord]


@dataclass(frozen=True)
class EvaluationFolder:
    """The folder at a path or URI; `name` is that path without secrets."""

    path: str
    folder: OutputFolder

    @classmethod
    def open(cls, path: str) -> "EvaluationFolder":
        """Open a folder, which need not exist. Raises InputError if it cannot be one."""
        return cls(path, open_output(path))

    @property
    def name(self) -> str:
        """The path without secrets."""
        return without_secret(self.path)

    def path_below(self, name: str) -> str:
        """The path or URI of something in the folder; options of a URI stay at its end."""
        path, mark, options = self.path.partition("?")
        return f"{path.rstrip('/')}/{name}{mark}{options}"

    def write_examples(self, task: str, subset: str, examples: pa.Table) -> str:
        """Write prepared examples unless they are there, so that what is annotated stays done; returns SHA-256."""
        sink = pa.BufferOutputStream()
        pq.write_table(examples.combine_chunks(), sink, row_group_size=2048, compression="zstd")
        data = sink.getvalue().to_pybytes()
        self.put(inputs_path(task, subset), data)
        return hashlib.sha256(data).hexdigest()

    def examples(self, task: str, subset: str, sha256: str) -> pa.Table | None:
        """The prepared examples of a subset; None where they are gone, or others than those of this digest."""
        data = self.folder.read(inputs_path(task, subset))
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            return None
        return pq.read_table(pa.BufferReader(data))

    def put(self, path: str, data: bytes) -> None:
        """Make `data` the content of a file, unless it is already."""
        if self.folder.read(path) != data:
            self.folder.put(path, data)
            # Left empty by writes outside of a run, which would remove it at its end.
            self.folder.delete_empty_folders(kept=(), made=(WORKSPACES,))

    def write_record(self, record: EvaluationRecord) -> None:
        """Record what was annotated."""
        self.put(RECORD, record_json(record))

    @property
    def has_record(self) -> bool:
        """Whether something was evaluated into this folder."""
        return self.folder.read(RECORD) is not None

    def record(self) -> EvaluationRecord:
        """What was annotated. Raises InputError where there is no record that can be read."""
        data = self.folder.read(RECORD)
        record = parse_record(EvaluationRecord, data)
        if record is None:
            found = "no evaluation" if data is None else f"a {RECORD} that cannot be read"
            raise InputError(
                f"--output: found {found} in {self.name}, expected a folder that xlmr-evaluate has written; check "
                "the path, or run the evaluation with a model first"
            )
        return record

    def parts(self, task: str, subset: str) -> Iterator[pa.Table]:
        """The parts of a subset in a task's output, in the order of its rows."""
        folder = OutputFolder(self.folder.filesystem, f"{self.folder.root}/{task}")
        paths = (path for path, _ in folder.list_files() if not path.startswith(("_", ".")))
        names = [
            name for path in paths if (name := PartName.parse(path)) is not None and name.stem == file_stem(subset)
        ]
        for name in sorted(names, key=lambda name: name.index):
            data = folder.read(name.path)
            assert data is not None
            yield pq.read_table(pa.BufferReader(data))


def inputs_path(task: str, subset: str) -> str:
    """Where the prepared examples of a subset are, relative to the folder."""
    return f"{INPUTS}/{task}/{file_stem(subset)}.parquet"


def file_stem(subset: str) -> str:
    """The name of a subset as that of a file: without characters that paths, patterns and URIs treat specially."""
    if _PLAIN.fullmatch(subset):
        return subset
    digest = hashlib.sha256(subset.encode()).hexdigest()[:8]
    return f"x{_NOT_PLAIN.sub('_', subset)[:80]}-{digest}"

"""Fuzz Parquet inputs: `python -m tests.fuzz.parquet SEED_FROM NUM_CASES`.

A case is a folder of small files with flipped bits, cut short, or with other lengths. Every file has its rows, as
many as its footer says, or a named error: of planning, of the columns, or of a fragment. Other values are no
violation, as pages need not have checksums. A process that dies of a file is replaced, and the file is named.
"""

import io
import pickle
import random
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.column_types import unpacked
from pipeline.errors import FragmentError, InputError
from pipeline.input import file_planning
from pipeline.input.file_plans import FilePlan, Planner
from pipeline.input.found_files import InputFile
from pipeline.input.fragment_table import FragmentTable
from pipeline.input.planner_process import Entry
from pipeline.input.read_columns import ReadColumns
from pipeline.input.reading import FragmentReader
from pipeline.input.schema import FileSchema, common_schema
from pipeline.stages.blocks import whole_fragment, with_keys

NUM_FILES = 50
NUM_ROWS = 40
MAX_ROWS = 16
TIMEOUT_S = 120
COLUMNS = ReadColumns({"text": "input.text"}, None, None)


@dataclass(frozen=True)
class Case:
    """The contents of damaged files, each with the number of the seed that it was made of."""

    files: tuple[tuple[int, bytes], ...]


def mutate(rng: random.Random) -> Case:
    """Some damaged files."""
    return Case(tuple(_damaged(rng) for _ in range(NUM_FILES)))


def check(case: Case) -> None:
    """Raises AssertionError if a file of the case has neither its rows nor a named error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (_, data) in enumerate(case.files):
            (folder / f"{number:03}.parquet").write_bytes(data)
        paths = sorted(folder.iterdir())
        planner = Planner(fs.LocalFileSystem(), COLUMNS, MAX_ROWS, 2**20)
        entries = [Entry(i, InputFile(str(path), path.name, path.name), {}) for i, path in enumerate(paths)]
        outcomes = file_planning.plan_files(planner, entries)
        for outcome in outcomes:
            assert isinstance(outcome, FilePlan) or outcome, "a file without a reason"
        planned = [
            (path, outcome, planner.file_columns[outcome.columns])
            for path, outcome in zip(paths, outcomes, strict=True)
            if isinstance(outcome, FilePlan)
        ]
        _read_all(folder, [(path, (path.name, plan.file, plan.cuts, columns)) for path, plan, columns in planned])


def _read_all(folder: Path, planned: list[tuple[Path, Any]]) -> None:
    """Read files as workers do, in processes that may die: a file that they die of has failed by name."""
    while planned:
        (folder / "plans").write_bytes(pickle.dumps([plan for _, plan in planned]))
        command = [sys.executable, "-m", "tests.fuzz.parquet", "--read", str(folder / "plans")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        lines = done.stdout.split()
        if done.returncode == 0:
            return
        if done.returncode > 0 or not lines:
            raise AssertionError(f"reading {lines[-1:]} ended with {done.returncode}: {done.stderr[-3000:]}")
        print(f"reader died of {lines[-1]} by signal {-done.returncode}", file=sys.stderr)
        died = next(i for i, (path, _) in enumerate(planned) if path.name == lines[-1])
        planned = planned[died + 1 :]


def read_planned(plans: Path) -> None:
    """Read every fragment of some planned files; a name is printed before each."""
    for name, file, cuts, columns in pickle.loads(plans.read_bytes()):
        print(name, flush=True)
        fragments = FragmentTable([(file, cuts)])
        try:
            found = FileSchema(name, unpacked(columns.schema), unwritable=columns.unwritable)
            schema = common_schema([found], COLUMNS, ["topic"])
        except InputError:
            continue
        reader = FragmentReader(schema.read, fs.LocalFileSystem())
        for fragment in fragments:
            try:
                table = reader.read(fragment)
            except FragmentError:
                continue
            table.validate()
            assert whole_fragment(with_keys(table, fragment)) == fragment
        reader.close()


def _damaged(rng: random.Random) -> tuple[int, bytes]:
    seed = rng.randrange(len(_whole_files()))
    data = bytearray(_whole_files()[seed])
    footer_size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - footer_size
    kind = rng.choice(["footer bits", "footer bytes", "page bits", "cut", "footer length", "splice", "repeat"])
    if kind == "footer bits":
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            data[rng.randrange(start, len(data) - 8)] ^= 1 << rng.randrange(8)
    elif kind == "footer bytes":
        at = rng.randrange(start, len(data) - 8)
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)])
    elif kind == "page bits":
        for _ in range(rng.choice([1, 1, 4, 20])):
            data[rng.randrange(4, start)] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
        if rng.random() < 0.5 and len(data) > start:
            data += footer_size.to_bytes(4, "little") + b"PAR1"
    elif kind == "footer length":
        size = rng.choice([0, 1, footer_size - 1, footer_size + 1, 2**31, 2**32 - 1, rng.randrange(len(data))])
        data[-8:-4] = size.to_bytes(4, "little")
    else:
        # Bytes put in or taken out of the footer, whose length fits again.
        at = rng.randrange(start, len(data) - 8)
        old = rng.choice([0, 0, 1, 2, 8])
        new = bytes(rng.choices([0, 1, 0x15, 0x80, 0xFF], k=rng.choice([1, 2, 5, 9])))
        if kind == "repeat":
            new = bytes(data[at : at + 64]) * 2
        data[at : min(at + old, len(data) - 8)] = new
        data[-8:-4] = (len(data) - 8 - start).to_bytes(4, "little")
    return seed, bytes(data)


@cache
def _whole_files() -> tuple[bytes, ...]:
    return tuple(_encoded(table, **options) for table, options in _tables())


def _encoded(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _tables() -> Iterator[tuple[pa.Table, dict[str, Any]]]:
    texts = pa.array([None if i % 9 == 0 else f"text {i} " + "ä" * (i % 5) for i in range(NUM_ROWS)])
    ids = pa.array(range(NUM_ROWS))
    yield pa.table({"text": texts, "id": ids}), {}
    yield pa.table({"text": texts, "id": ids}), {"row_group_size": 15, "write_page_checksum": True}
    yield pa.table({"text": texts}), {"compression": "none", "use_dictionary": False, "write_statistics": False}
    yield pa.table({"text": texts, "id": ids}), {"data_page_version": "2.0", "compression": "zstd"}
    yield pa.table({"text": texts, "id": ids}), {"store_schema": False, "data_page_size": 20}
    lists = pa.array([[f"w{j}" for j in range(i % 4)] for i in range(NUM_ROWS)])
    structs = pa.array([{"a": i, "b": [{"c": str(i)}]} for i in range(NUM_ROWS)])
    maps = pa.array([[("k", i)] for i in range(NUM_ROWS)], pa.map_(pa.string(), pa.int64()))
    yield pa.table({"text": texts, "lists": lists, "structs": structs, "maps": maps}), {}
    yield pa.table({"text": texts.dictionary_encode(), "nulls": pa.nulls(NUM_ROWS)}), {"row_group_size": 25}
    uuids = pa.uuid().wrap_array(pa.array([uuid.UUID(int=i).bytes for i in range(NUM_ROWS)], pa.binary(16)))
    numbers = pa.array([Decimal(i) for i in range(NUM_ROWS)], pa.decimal128(30, 2))
    times = ids.cast(pa.timestamp("us", "UTC"))
    tensors = pa.array([[i, i] for i in range(NUM_ROWS)], pa.list_(pa.float32(), 2))
    metadata = {"ARROW:extension:name": "ray.data.arrow_tensor", "ARROW:extension:metadata": "[2]"}
    fields = [pa.field("text", pa.string()), pa.field("uuids", uuids.type), pa.field("numbers", numbers.type)]
    fields += [pa.field("times", times.type), pa.field("tensors", tensors.type, metadata=metadata)]
    columns = [texts, uuids, numbers, times, tensors]
    yield pa.Table.from_arrays(columns, schema=pa.schema(fields)), {"use_deprecated_int96_timestamps": True}
    yield pa.Table.from_arrays(columns, schema=pa.schema(fields)), {}


def main(first_seed: int, num_cases: int) -> None:
    """Check cases of consecutive seeds; ends with the first violation."""
    file_planning.SILENCE_S = file_planning.SHORT_SILENCE_S = 60.0
    for seed in range(first_seed, first_seed + num_cases):
        try:
            check(mutate(random.Random(seed)))
        except Exception as error:
            raise SystemExit(f"seed {seed}: {type(error).__name__}: {error}") from None
    print(f"{num_cases * NUM_FILES} files, 0 violations")


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        read_planned(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]))

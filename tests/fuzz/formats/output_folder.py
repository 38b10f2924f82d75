"""The folder of an output between two runs: its records, claims and parts, on a real disk."""

import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pyarrow import fs

from pipeline.errors import PipelineError
from pipeline.output.claim import Claim
from tests.fuzz.mutations import json_bytes
from tests.fuzz.outcome import refusals
from tests.simulation.drivers import Input, Run, changed, content_of, run_driver, table_of
from tests.simulation.world import World

LEASE_TIMEOUT_S = 0.2
FILES = (Input("a.parquet", "1", "m", 2), Input("d/b.parquet", "1", "m", 3))
# A changed file whose new parts are staged, but for one that failed.
HALF_DONE = Run((changed(FILES[0], version="2"), changed(FILES[1], mark="n")), failing=frozenset({1}))
LAST = Run(HALF_DONE.files, is_restart=True, prunes=True)
NAMES = (
    "part_path",
    "input_path",
    "num_rows",
    "num_bytes",
    "sha256",
    "versions",
    "token",
    "format",
    "identity",
    "a",
)
KINDS = ("change", "change", "change", "change", "cut", "delete", "folder", "link", "copy")


def mutate(rng: random.Random) -> tuple[str, str, bytes]:
    """A file of the folder, what happens to it, and its new content."""
    path = rng.choice(sorted(_content()))
    data, kind = _content()[path], rng.choice(KINDS)
    if kind == "change" and path.endswith((".json", "_SUCCESS")):
        data = json_bytes(rng, json.loads(data), NAMES)
    elif kind in ("change", "cut"):
        data = data[: rng.randrange(len(data))]
    return path, kind, data


def check(case: tuple[str, str, bytes]) -> None:
    """Run again on the input as it is; the parts have to be those of that input, and nothing else is touched."""
    path, kind, data = case
    with tempfile.TemporaryDirectory() as name:
        root, victim = Path(name) / "out", Path(name) / "victim"
        _write(root)
        victim.mkdir()
        (victim / "v.parquet").write_bytes(b"v")
        _damage(root / path, kind, data, victim)
        with refusals(root, errors=PipelineError):
            run_driver(World(0), fs.LocalFileSystem(), LAST, str(root), LEASE_TIMEOUT_S)
        assert {p.name: p.read_bytes() for p in victim.iterdir()} == {"v.parquet": b"v"}
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet") if p.is_file()}
        expected = {f.part_path: content_of(f, "a") for f in table_of(LAST.files)}
        assert {p: d for p, d in found.items() if kind != "copy" or p in expected} == expected
        assert (root / "_SUCCESS").exists()


def _damage(path: Path, kind: str, data: bytes, victim: Path) -> None:
    if kind == "copy":
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
        return
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(victim / "v.parquet")
    elif kind != "delete":
        path.write_bytes(data)


@cache
def _content() -> dict[str, bytes]:
    """The folder after a complete run, one of a changed input that failed in part, and a driver that died."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "out"
        for run in (Run(FILES), HALF_DONE):
            run_driver(World(0), fs.LocalFileSystem(), run, str(root), LEASE_TIMEOUT_S)
        content = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    values: dict[str, Any] = json.loads(Claim.of_this_process(LEASE_TIMEOUT_S).to_json()) | {"machine": "another"}
    return content | {f"_manifest/lease/{values['token']}.json": json.dumps(values).encode()}


def _write(root: Path) -> None:
    for path, data in _content().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)

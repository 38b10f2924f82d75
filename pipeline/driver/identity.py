"""The identity of a run: everything that its output depends on. Parts of different identities are never mixed."""

import hashlib
import json
import os
from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from model.checkpoints.reader import Checkpoint
from model.tokenizer.files import CONFIG_FILE_NAME, VOCAB_FILE_NAME
from pipeline.config.job import JobConfig
from pipeline.heads.resolve import Head
from pipeline.tasks.sections import AddedLater

# Options that do not change values. The token budget and sharding do, as they change the rounding.
_WITHOUT_EFFECT = {"path", "replicas", "cpus_per_rank", "placement", "placement_timeout_s", "stall_timeout_s"}
_PIECE_BYTES = 2**26
_READ_BYTES = 2**20


def run_identity(job: JobConfig, heads: list[Head]) -> dict[str, str]:
    """What the output depends on, by name: options as JSON, digests of weights and tokenizer, code version."""
    identity = {
        "code": version("xlmr-ray"),
        "tokenizer": tokenizer_digest(job.model.path),
        "heads": json.dumps(list(job.heads)),
        **_options("model", job.model, _WITHOUT_EFFECT),
        **_options("input", job.input, {"path"}),
        **_options("output", job.output, {"path", "lease_timeout_s"}),
    }
    directories = dict.fromkeys(path for head in heads for path in (head.trunk, head.options.weights))
    weights = {path: weights_digest(path) for path in directories}
    for head in heads:
        name = f"heads.{head.name}"
        identity |= _options(name, head.options, {"weights", "trunk"})
        identity[f"{name}.weights"] = weights[head.options.weights]
        identity[f"{name}.trunk"] = weights[head.trunk]
    return identity


def _options(name: str, section: BaseModel, left_out: Set[str]) -> dict[str, str]:
    unset = {
        key
        for key, field in type(section).model_fields.items()
        if any(isinstance(mark, AddedLater) for mark in field.metadata) and getattr(section, key) == field.default
    }
    values = section.model_dump(mode="json", exclude=unset | left_out)
    return {f"{name}.{key}": json.dumps(value, ensure_ascii=False) for key, value in values.items()}


def weights_digest(directory: str) -> str:
    """Digest of `config.json` and all weight files."""
    return content_digest([Path(directory) / "config.json", *Checkpoint(directory).files])


def tokenizer_digest(directory: str) -> str:
    """Digest of the sentencepiece model and the tokenizer's configuration, if there is one."""
    files = [Path(directory) / name for name in (VOCAB_FILE_NAME, CONFIG_FILE_NAME)]
    return content_digest(file for file in files if file.is_file())


def content_digest(paths: Iterable[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files, independent of their order and folders.

    It is made of the digests of pieces, which are computed on all cores. Raises OSError if a file cannot be read.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        files = [
            (path.name, [pool.submit(_piece_digest, path, begin) for begin in _piece_begins(path)])
            for path in paths
        ]
        found = sorted((name, [piece.result() for piece in pieces]) for name, pieces in files)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _piece_begins(path: Path) -> range:
    return range(0, max(1, path.stat().st_size), _PIECE_BYTES)


def _piece_digest(path: Path, begin: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(begin)
        for _ in range(_PIECE_BYTES // _READ_BYTES):
            digest.update(file.read(_READ_BYTES))
    return digest.hexdigest()

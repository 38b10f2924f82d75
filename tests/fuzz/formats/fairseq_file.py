"""`model.pt` of fairseq, which holds Python objects beside the tensors."""

import argparse
import io
import random
import tempfile
from functools import cache
from pathlib import Path

import torch

from jobs.convert.conversion import check_coverage
from model.conversion.fairseq import FairseqCheckpoint
from tests.fairseq_checkpoints import fairseq_tensors
from tests.fuzz.folders import put
from tests.fuzz.mutations import damaged
from tests.fuzz.outcome import refusals
from tests.fuzz.zip_mutations import damaged_archive


def mutate(rng: random.Random) -> bytes:
    """The file."""
    if rng.random() < 0.2:
        return damaged(rng, _content(is_archive=False), lambda: int(rng.paretovariate(0.2)))
    return damaged_archive(rng, _content(is_archive=True))


def check(case: bytes) -> None:
    """Read all tensors, and check them as the conversion does."""
    path = _path()
    put(path, case)
    with refusals(path, "tensor"):
        source = FairseqCheckpoint(path)
        check_coverage(source, source.config)
    for name in source.names:
        assert list(source.read(name).clone().shape) == source.shape(name)


@cache
def _path() -> Path:
    return Path(tempfile.mkdtemp()) / "model.pt"


@cache
def _content(*, is_archive: bool) -> bytes:
    file = io.BytesIO()
    state = {"args": argparse.Namespace(encoder_attention_heads=2), "model": fairseq_tensors(width=8, ffn=12)}
    torch.save(state, file, _use_new_zipfile_serialization=is_archive)
    return file.getvalue()

"""The folder of a COMET checkpoint: a pickle of Lightning, with Python objects beside the tensors, and YAML."""

import argparse
import io
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from jobs.convert.conversion import check_coverage
from model.conversion.comet import CometCheckpoint
from tests.comet_checkpoints import METRICS, NUM_HEADS, comet_tensors
from tests.fuzz.folders import put
from tests.fuzz.mutations import damaged
from tests.fuzz.outcome import refusals
from tests.fuzz.zip_mutations import damaged_archive

# Small ones, as each case is written anew.
_SIZES = {"vocab_size": 40, "hidden_size": 8, "intermediate_size": 12}
_HPARAMS: dict[str, Any] = METRICS["xcomet"]


def mutate(rng: random.Random) -> tuple[bytes, bytes]:
    """The pickle and the hyperparameters, one of them damaged."""
    if rng.random() < 0.2:
        return _content(), damaged(rng, _yaml(), lambda: int(rng.paretovariate(0.2)))
    return damaged_archive(rng, _content()), _yaml()


def check(case: tuple[bytes, bytes]) -> None:
    """Read all tensors, and check them as the conversion does."""
    folder = _folder()
    for name, content in zip(("checkpoints/model.ckpt", "hparams.yaml"), case, strict=True):
        put(folder / name, content)
    with refusals(folder, "tensor"):
        source = CometCheckpoint(folder, num_attention_heads=NUM_HEADS)
        check_coverage(source, source.config)
    for name in source.names:
        assert list(source.read(name).clone().shape) == source.shape(name)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    (folder / "checkpoints").mkdir()
    return folder


@cache
def _content() -> bytes:
    file = io.BytesIO()
    state = {
        "epoch": 1,
        "hyper_parameters": _HPARAMS,
        "callbacks": argparse.Namespace(best=0.5, paths=[Path("checkpoints")]),
        "state_dict": comet_tensors(_HPARAMS, **_SIZES),
    }
    torch.save(state, file)
    return file.getvalue()


@cache
def _yaml() -> bytes:
    return yaml.safe_dump(_HPARAMS).encode()

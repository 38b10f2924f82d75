"""`pytorch_model.bin`: a zip archive with a pickle, and the plain pickles of older torch."""

import io
import random
import tempfile
from functools import cache
from pathlib import Path

import torch

from model import XLMRobertaXLForSequenceClassification
from tests.fuzz.folders import CONFIG, put
from tests.fuzz.mutations import damaged
from tests.fuzz.outcome import refusals
from tests.fuzz.zip_mutations import damaged_archive


def mutate(rng: random.Random) -> bytes:
    """The file."""
    if rng.random() < 0.2:
        return damaged(rng, _content(is_archive=False), lambda: int(rng.paretovariate(0.2)))
    return damaged_archive(rng, _content(is_archive=True))


def check(case: bytes) -> None:
    """Load a classifier and compute a batch."""
    path = _folder() / "pytorch_model.bin"
    put(path, case)
    with refusals(path.parent, "tensor"):
        classifier = XLMRobertaXLForSequenceClassification.from_pretrained(path.parent)
    assert classifier(torch.tensor([[0, 5, 6, 2]])).logits.shape == (1, 3)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    CONFIG.save_pretrained(folder)
    return folder


@cache
def _content(*, is_archive: bool) -> bytes:
    model = XLMRobertaXLForSequenceClassification(CONFIG.copy())
    file = io.BytesIO()
    torch.save(model.state_dict(), file, _use_new_zipfile_serialization=is_archive)
    return file.getvalue()

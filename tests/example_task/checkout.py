"""A copy of the packages in which one more task is there: a file, and a line."""

import shutil
from pathlib import Path

import torch

from model import XLMRobertaXLForTokenClassification, XLMRobertaXLTokenizer
from tests.oracle import randomize
from tests.tiny_tokenizer import write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import tiny_config

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("model", "pipeline", "jobs")
NEW_TASK = Path(__file__).with_name("confident_tokens.py")
TASK_FOLDER = Path("pipeline", "tasks")
LIST_OF_TASKS = TASK_FOLDER / "all_tasks.py"
NEW_LINE = '    "confident_tokens",\n'


def copy_with_new_task(directory: Path) -> Path:
    """The copy, below `directory`."""
    copy = directory / "copy"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(NEW_TASK, copy / TASK_FOLDER)
    lines = (ROOT / LIST_OF_TASKS).read_text(encoding="utf-8").splitlines(keepends=True)
    lines.insert(lines.index('    "embedding",\n'), NEW_LINE)
    (copy / LIST_OF_TASKS).write_text("".join(lines), encoding="utf-8")
    return copy


def write_token_classifier(directory: Path) -> Path:
    """A small checkpoint with random weights and a tokenizer: sure of some tokens, and not of others."""
    write_tiny_sentencepiece(directory)
    model = XLMRobertaXLForTokenClassification(tiny_config(num_labels=8))
    randomize(model)
    model.save_pretrained(directory)
    return directory


def num_confident_tokens(checkpoint: Path, texts: list[str]) -> list[int]:
    """What the new task is to find, computed text by text with the model alone."""
    model = XLMRobertaXLForTokenClassification.from_pretrained(checkpoint).eval()
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(checkpoint)
    found = []
    for text in texts:
        with torch.inference_mode():
            logits = model(torch.tensor([tokenizer.encode(text)])).logits[0, 1:-1]
        found.append(int((logits.softmax(dim=-1).amax(dim=-1) > 0.5).sum()))
    return found

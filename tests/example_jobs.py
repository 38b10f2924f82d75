"""The example jobs of `jobs/configs`, and a folder with the models and texts that they name, all of them small."""

import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from jobs.convert import main as convert
from model import (
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForMultipleChoice,
    XLMRobertaXLForQuestionAnswering,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
)
from model.modeling.pretrained import XLMRobertaXLPreTrainedModel
from tests.comet.checkpoints import CHECKPOINTS, NUM_HEADS, Geometry, write_raw
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import tiny_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "jobs/configs"
EXAMPLES = sorted(path.name for path in CONFIGS.glob("*.toml"))
NUM_ROWS = 6
# Class and labels of each model.
_MODELS: dict[str, tuple[type[XLMRobertaXLPreTrainedModel], tuple[str, ...]]] = {
    "xlm-roberta-xl": (XLMRobertaXLForMaskedLM, ("LABEL_0", "LABEL_1")),
    "topic-xl": (XLMRobertaXLForSequenceClassification, ("sport", "politics")),
    "nli-xl": (XLMRobertaXLForSequenceClassification, ("contradiction", "neutral", "entailment")),
    "ner-xl": (XLMRobertaXLForTokenClassification, ("O", "B-PER", "I-PER")),
    "tags-head": (XLMRobertaXLForTokenClassification, ("O", "B-PER", "I-PER")),
    "qa-xl": (XLMRobertaXLForQuestionAnswering, ("start", "end")),
    "copa-xl": (XLMRobertaXLForMultipleChoice, ("choice",)),
}


def write_models_and_texts(root: Path) -> None:
    """`models/`, `corpus/`, `questions/`, `problems/` and `pairs/`, as the examples name them."""
    for seed, (name, (kind, labels)) in enumerate(_MODELS.items()):
        torch.manual_seed(seed)
        directory = root / "models" / name
        kind(tiny_config(id2label=dict(enumerate(labels)))).save_pretrained(directory)
        write_tiny_sentencepiece(directory)
    _keep_head_only(root / "models/tags-head/model.safetensors")
    _convert_comet(root / "raw", root / "models/cometkiwi-xl", tokenizer=root / "models/xlm-roberta-xl")
    ids = list(range(NUM_ROWS))
    texts, others = list(SENTENCES[:NUM_ROWS]), list(SENTENCES[NUM_ROWS : 2 * NUM_ROWS])
    routes = [None, ["vector"], ["tags", "topic"], [], ["topic"], None]
    corpus = {"id": ids, "lang": ["en"] * NUM_ROWS, "text": texts, "heads": routes}
    for folder, columns in {
        "corpus/news": corpus,
        "questions": {"id": ids, "question": others, "passage": texts},
        "pairs": {"id": ids, "lang": ["en"] * NUM_ROWS, "source": others, "translation": texts},
        "problems": {"id": ids, "premise": others, "choice1": texts, "choice2": texts[::-1]},
    }.items():
        (root / folder).mkdir(parents=True)
        pq.write_table(pa.table(columns), root / folder / "a.parquet")


def overrides(job_file: Path, root: Path) -> list[str]:
    """The arguments that have a job take its models, and its local input and output, from below `root`."""
    job = tomllib.loads(job_file.read_text(encoding="utf-8"))
    keys = ["model.path", "input.path", "output.path"]
    keys += [f"heads.{name}.{key}" for name in job["heads"] for key in ("weights", "trunk")]
    paths = {key: path for key in keys if (path := _value(job, key)) is not None and "://" not in path}
    return [f"--set={key}={root / path}" for key, path in paths.items()]


def _value(job: dict[str, Any], key: str) -> str | None:
    value: Any = job
    for part in key.split("."):
        value = value.get(part) if value is not None else None
    return value


def _convert_comet(raw: Path, directory: Path, *, tokenizer: Path) -> None:
    write_raw(raw, CHECKPOINTS[0], str(tokenizer), Geometry(vocab_size=tiny_config().vocab_size))
    arguments = ["--tokenizer", str(tokenizer), "--num-attention-heads", str(NUM_HEADS)]
    assert convert([str(raw), str(directory), *arguments]) == 0


def _keep_head_only(file: Path) -> None:
    save_file({name: t for name, t in load_file(file).items() if name.startswith("classifier.")}, file)

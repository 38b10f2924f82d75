"""Tiny checkpoints for every task of the pipeline: heads on one shared encoder, another encoder, a decoder.

The models come back as they are in memory, so that oracles can be made of them without reading a file.
"""

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForCausalLM,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForMultipleChoice,
    XLMRobertaXLForQuestionAnswering,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
    XLMRobertaXLTokenizer,
)
from model.modeling.pretrained import XLMRobertaXLPreTrainedModel
from tests.oracle import oracle_of, randomize

NUM_SPARE_ROWS = 6
"""Rows of the embeddings that are of no token, as the released checkpoints have some."""

TOPICS = ("economy", "culture", "sport")
TAGS = ("sad", "long", "old", "loud")
NLI_LABELS = ("contradiction", "neutral", "entailment")
ENTITY_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
WORD_LABELS = ("NOUN", "VERB", "ADJ", "ADV", "PRON", "PUNCT", "NUM", "X")

# Heads on the shared encoder: class, labels, and what else their configuration says.
_HEADS: dict[str, tuple[type[XLMRobertaXLPreTrainedModel], tuple[str, ...], dict[str, Any]]] = {
    "topic": (XLMRobertaXLForSequenceClassification, TOPICS, {}),
    "tags": (XLMRobertaXLForSequenceClassification, TAGS, {"problem_type": "multi_label_classification"}),
    "value": (XLMRobertaXLForSequenceClassification, ("value",), {}),
    "nli": (XLMRobertaXLForSequenceClassification, NLI_LABELS, {}),
    "entities": (XLMRobertaXLForTokenClassification, ENTITY_LABELS, {}),
    "words": (XLMRobertaXLForTokenClassification, WORD_LABELS, {}),
    "answer": (XLMRobertaXLForQuestionAnswering, ("start", "end"), {}),
    "choice": (XLMRobertaXLForMultipleChoice, ("choice",), {}),
}


@dataclass
class TaskCheckpoints:
    """Directories by name, and the models that were written there.

    `encoder` has an LM head and the tokenizer; the heads in `_HEADS` hold no trunk of their own, `choice` has the
    pooler; `own` is another encoder with a classifier; `decoder` is a causal language model.
    """

    directory: Path
    vocab_file: Path
    models: dict[str, XLMRobertaXLPreTrainedModel] = field(default_factory=dict)
    _oracles: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """Directory of a checkpoint."""
        return str(self.directory / name)

    @property
    def encoder(self) -> Path:
        """Directory of the shared encoder: `model.path` of a job."""
        return self.directory / "encoder"

    def oracle(self, name: str) -> Any:
        """The Transformers model with the same weights; made once."""
        if name not in self._oracles:
            self._oracles[name] = oracle_of(self.models[name])
        return self._oracles[name]

    @cached_property
    def tokenizer(self) -> XLMRobertaXLTokenizer:
        """Our tokenizer."""
        return XLMRobertaXLTokenizer(self.vocab_file)


def write_task_checkpoints(directory: Path, vocab_file: Path) -> TaskCheckpoints:
    """Write them all; `vocab_file` is a sentencepiece model, tiny or the released one.

    The same call writes the same weights. They lie far from zero, so that rows differ in their results.
    """
    checkpoints = TaskCheckpoints(directory, vocab_file)
    num_tokens = checkpoints.tokenizer.vocab_size

    def config(**options: Any) -> XLMRobertaXLConfig:
        return XLMRobertaXLConfig(
            vocab_size=num_tokens + NUM_SPARE_ROWS,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            **options,
        )

    models = checkpoints.models
    models["encoder"] = encoder = _random(XLMRobertaXLForMaskedLM(config()), seed=1)
    for seed, (name, (kind, labels, options)) in enumerate(_HEADS.items(), start=2):
        model = _random(kind(config(id2label=dict(enumerate(labels)), **options)), seed=seed)
        model.base_model.embeddings = encoder.base_model.embeddings
        model.base_model.encoder = encoder.base_model.encoder
        models[name] = model
    own_labels = {"id2label": dict(enumerate(TOPICS))}
    models["own"] = _random(XLMRobertaXLForSequenceClassification(config(**own_labels)), seed=20)
    models["decoder"] = _random(XLMRobertaXLForCausalLM(config(is_decoder=True)), seed=21)
    for name, model in models.items():
        _save(model, directory / name, with_trunk=name not in _HEADS)
    shutil.copyfile(vocab_file, checkpoints.encoder / "sentencepiece.bpe.model")
    return checkpoints


def copy_of(path: str, name: str) -> str:
    """The same checkpoint under another path."""
    target = Path(path).with_name(name)
    shutil.copytree(path, target)
    return str(target)


def _random(model: XLMRobertaXLPreTrainedModel, *, seed: int) -> XLMRobertaXLPreTrainedModel:
    """Random weights, those of heads larger, so that scores are neither all alike nor all certain."""
    randomize(model, seed=seed, std=0.2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("classifier", "qa_outputs")):
                parameter.mul_(2.5)
    return model.eval()


def _save(model: XLMRobertaXLPreTrainedModel, directory: Path, *, with_trunk: bool) -> None:
    """`config.json` and `model.safetensors`, as Transformers lays them out."""
    model.config.save_pretrained(directory)
    trunk = ("roberta.embeddings.", "roberta.encoder.")
    tensors = {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if (with_trunk or not name.startswith(trunk)) and name != "lm_head.decoder.weight"  # tied
    }
    save_file(tensors, directory / "model.safetensors")

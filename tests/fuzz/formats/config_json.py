"""`config.json` of a model, and `generation_config.json` beside it."""

import json
import random
from functools import cache
from typing import Any

import torch

from model import XLMRobertaXLConfig, XLMRobertaXLForSequenceClassification
from model.checkpoints.reader import Checkpoint
from pipeline.errors import ConfigError
from pipeline.heads.resolve import read_config
from pipeline.heads.weights_fit import refuse_unfit_trunk
from tests.fuzz.folders import CONFIG, model_folder, put
from tests.fuzz.mutations import json_bytes
from tests.fuzz.outcome import refusals

NAMES = (
    *CONFIG.to_dict(), "dtype", "num_labels", "name_or_path", "head_size", "max_num_tokens", "use_return_dict",
    "validate", "to_dict", "copy", "padding_id", "__class__", "__dict__", "self", "config", "attribute_map",
    "is_composition", "token", "use_auth_token", "0", "", "\ud800", "a key of a newer version",
)  # fmt: skip
FIELDS = tuple(f"config.{name}" for name in NAMES if name)


def mutate(rng: random.Random) -> dict[str, bytes]:
    """The files by name."""
    contents: dict[str, dict[str, Any]] = {
        "config.json": CONFIG.to_dict() if rng.random() < 0.7 else json.loads(CONFIG.to_json_string()),
        "generation_config.json": {"_from_model_config": True, "eos_token_id": 2, "max_length": 20},
    }
    chosen = rng.choice(("config.json",) * 19 + ("generation_config.json",))
    return {
        name: json_bytes(rng, values, NAMES) if name == chosen else json.dumps(values).encode()
        for name, values in contents.items()
    }


def check(case: dict[str, bytes]) -> None:
    """Load a classifier and compute a batch; check the trunk as a job does before it runs."""
    folder = _folder()
    for name, content in case.items():
        put(folder / name, content)
    names = (folder / "config.json", folder, *FIELDS, *CONFIG.to_dict())
    with refusals(*names):
        classifier = XLMRobertaXLForSequenceClassification.from_pretrained(folder)
    logits = classifier(
        torch.tensor([[0, 5, 6, 2]]), position_ids=torch.tensor([[2, 3, 4, 5]]), return_dict=True
    ).logits
    config = classifier.config
    assert logits.shape == (1, config.num_labels)
    assert config.copy() == config
    repr(config)
    text = config.to_json_string()
    assert XLMRobertaXLConfig.from_dict(json.loads(text)).to_json_string() == text
    with refusals(*names, errors=(ConfigError, ValueError)):
        assert read_config(str(folder), "model.path").hidden_size == 8
        refuse_unfit_trunk(str(folder), Checkpoint(folder))


@cache
def _folder() -> Any:
    return model_folder()

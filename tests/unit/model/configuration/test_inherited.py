"""Inherited attributes: those of Transformers, and what `config.json` leaves out because of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from model import XLMRobertaXLConfig
from model.configuration.inherited import INHERITED_DEFAULTS

# What Transformers writes about itself.
OF_TRANSFORMERS = ("transformers_version", "_attn_implementation_autoset", "model_type")
VALUES: list[dict[str, Any]] = [
    {},
    {"hidden_size": 64, "num_attention_heads": 4, "torch_dtype": "bfloat16", "num_labels": 3},
    {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}, "problem_type": "regression"},
    {"is_decoder": True, "add_cross_attention": True, "is_encoder_decoder": True, "pruned_heads": {2: [0, 5]}},
    {"pad_token_id": 3, "return_dict": False, "sep_token_id": 4, "tie_word_embeddings": False},
    {"name_or_path": "some/where", "a_key_of_ones_own": [1, 2], "architectures": ["X"]},
]


def test_defaults_are_those_of_transformers() -> None:
    expected = transformers.PretrainedConfig().to_dict()
    assert {name: value for name, value in expected.items() if name not in OF_TRANSFORMERS} == INHERITED_DEFAULTS


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_every_form_is_that_of_transformers(values: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = XLMRobertaXLConfig(**values), transformers.XLMRobertaXLConfig(**values)
    pairs = [
        (ours.to_dict(), theirs.to_dict()),
        (ours.to_diff_dict(), theirs.to_diff_dict()),
        (json.loads(ours.to_json_string()), json.loads(theirs.to_json_string())),
        (json.loads(ours.to_json_string(use_diff=False)), json.loads(theirs.to_json_string(use_diff=False))),
    ]
    for use_diff in (True, False):
        ours.to_json_file(tmp_path / "ours.json", use_diff)
        theirs.to_json_file(tmp_path / "theirs.json", use_diff)
        pairs.append(tuple(json.loads((tmp_path / f"{who}.json").read_text()) for who in ("ours", "theirs")))
    for found, expected in pairs:
        assert found == {k: v for k, v in expected.items() if k == "model_type" or k not in OF_TRANSFORMERS}
    for name in vars(theirs):
        if name not in (*OF_TRANSFORMERS, "_commit_hash", "_attn_implementation_internal"):
            assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.name_or_path == theirs.name_or_path


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_each_reads_what_the_other_wrote(values: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = XLMRobertaXLConfig(**values), transformers.XLMRobertaXLConfig(**values)
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    assert transformers.XLMRobertaXLConfig.from_pretrained(tmp_path / "ours").to_dict() == theirs.to_dict()
    assert XLMRobertaXLConfig.from_pretrained(tmp_path / "ours") == ours
    read = XLMRobertaXLConfig.from_json_file(tmp_path / "theirs" / "config.json")
    assert {k: v for k, v in read.to_dict().items() if k not in OF_TRANSFORMERS} == {
        k: v for k, v in ours.to_dict().items() if k not in OF_TRANSFORMERS
    }


def test_defaults_are_not_shared() -> None:
    XLMRobertaXLConfig().id2label[0] = "changed"
    XLMRobertaXLConfig().pruned_heads[0] = [1]
    assert XLMRobertaXLConfig().id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert XLMRobertaXLConfig().pruned_heads == INHERITED_DEFAULTS["pruned_heads"] == {}

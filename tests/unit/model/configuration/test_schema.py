"""Fields of other types and sizes are refused by name; what Transformers reads of real files is read."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from model import XLMRobertaXLConfig

SIZES = ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size")
COUNTS = ("num_hidden_layers", "num_attention_heads")
NUMBERS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range")
BOOLEANS = (
    "use_cache", "is_decoder", "add_cross_attention", "tie_word_embeddings", "output_attentions",
    "output_hidden_states", "return_dict", "torchscript",
)  # fmt: skip
WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in (*SIZES, *COUNTS) for value in (None, True, "8", 8.0, [8], {}, 2**31, 10**400)),
    *((name, value) for name in NUMBERS for value in (None, True, "0.1", [0.1], {}, float("nan"), -1, 10**400)),
    *((name, value) for name in BOOLEANS for value in (None, 1, "true", [True], 0.0)),
    *((name, value) for name in ("pad_token_id", "bos_token_id") for value in (True, "1", 1.0, [1], {}, 2**40)),
    *(("eos_token_id", value) for value in (True, "2", 2.0, [2, "3"], [None], {}, [[2]], 10**400)),
    *(("classifier_dropout", value) for value in (True, "0.1", [], float("nan"), 1)),
    *(("num_labels", value) for value in (-1, 2**31 - 1, 10**400, True, "3", 2.0, [], {})),
    *(("id2label", value) for value in (["a"], "ab", 2, True, {"a": "b"}, {"0": None}, {"0": []}, {"1.5": "a"})),
    *(("pruned_heads", value) for value in (5, [0], "0", True, {"0": 1}, {"0": "1"}, {"a": [0]}, {"0": [[0]]})),
    *(("torch_dtype", value) for value in (5, "int8", "complex64", "cat", "nn", [], {"a": 1}, "float8_e4m3fn")),
    *(("hidden_act", value) for value in (None, 5, ["gelu"], {"a": 1})),
    *(("position_embedding_type", value) for value in (None, 5, ["absolute"], {})),
    *(("problem_type", value) for value in (5, ["regression"], {})),
    *((name, 5) for name in ("head_size", "use_return_dict", "validate", "to_dict", "copy", "self", "__class__")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_field_of_another_type_is_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    begin = time.process_time()
    (tmp_path / "config.json").write_text(json.dumps({name: value}))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/config\.json: config\.{name}\b") as caught:
        XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert len(str(caught.value)) < 500
    assert time.process_time() - begin < 1


def test_label_ids_that_are_no_integers_are_refused(tmp_path: Path) -> None:
    for label2id in (["a"], 5, {"a": None}, {"a": "b"}, {"a": [0]}, {"a": True}):
        (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "a"}, "label2id": label2id}))
        with pytest.raises(ValueError, match=rf"^{tmp_path}/config\.json: config\.label2id must"):
            XLMRobertaXLConfig.from_pretrained(tmp_path)


def test_two_names_of_the_dtype_must_agree(tmp_path: Path) -> None:
    for other, is_right in (("bfloat16", True), ("torch.bfloat16", True), ("float32", False), (5, False)):
        (tmp_path / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16", "dtype": other}))
        if is_right:
            assert XLMRobertaXLConfig.from_pretrained(tmp_path).dtype == torch.bfloat16
        else:
            with pytest.raises(ValueError, match=r"config\.json: config\.(torch_)?dtype must"):
                XLMRobertaXLConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"dtype": "bfloat16"}')
    assert XLMRobertaXLConfig.from_pretrained(tmp_path, torch_dtype="float16").dtype == torch.float16


REAL: list[dict[str, Any]] = [
    {"layer_norm_eps": 1, "hidden_dropout_prob": 0, "classifier_dropout": 0, "initializer_range": 0},
    {"eos_token_id": [2, 5], "bos_token_id": None},
    {"eos_token_id": None, "pad_token_id": None},
    {"id2label": {"0": 0, "1": 1.5}, "label2id": {"0": 0, "1.5": 1}},
    {"id2label": {"5": "a", "-1": "b", "1000000000000": "c"}},
    {"id2label": {"0": "a"}, "label2id": None, "num_labels": 1},
    {"id2label": None, "label2id": None},
    {"id2label": {}},
    {"num_labels": 0},
    {"pruned_heads": {"0": [1, 2], "-1": []}},
    {"architectures": None, "finetuning_task": "mnli", "gradient_checkpointing": False, "prefix": None},
    {"max_length": None, "num_beams": "many", "task_specific_params": {"a": {"b": [1, {"c": None}]}}},
    {"is_composition": False, "_num_labels": 3, "summary_type": "first", "output_past": True, "": 1},
    {"torch_dtype": None},
]  # fmt: skip


@pytest.mark.parametrize("values", REAL)
def test_what_transformers_reads_is_read(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlm-roberta-xl", **values}))
    ours = XLMRobertaXLConfig.from_pretrained(tmp_path)
    theirs = transformers.XLMRobertaXLConfig.from_pretrained(tmp_path)
    for name in values.keys() - {"label2id", "num_labels"}:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.num_labels == theirs.num_labels


def test_as_many_labels_as_any_classifier_has_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_labels": 100000}')
    assert XLMRobertaXLConfig.from_pretrained(tmp_path).num_labels == 100_000


def test_a_file_read_by_its_path_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"hidden_size": true}')
    with pytest.raises(ValueError, match=rf"^{tmp_path}/c\.json: config\.hidden_size"):
        XLMRobertaXLConfig.from_json_file(tmp_path / "c.json")


def test_options_of_a_derived_class_are_no_reserved_names() -> None:
    class Derived(XLMRobertaXLConfig):
        loss_weight = 1.0

    assert Derived.from_dict({"loss_weight": 0.5}).loss_weight == 0.5

"""XLMRobertaXLConfig: defaults and fields of Transformers, config.json both ways, refusals."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from model import XLMRobertaXLConfig

DOCUMENTED = {
    "vocab_size": 250880,
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "intermediate_size": 10240,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "position_embedding_type": "absolute",
    "use_cache": True,
    "classifier_dropout": None,
}
INHERITED = (
    "num_labels", "id2label", "label2id", "problem_type", "is_decoder", "add_cross_attention", "output_attentions",
    "output_hidden_states", "return_dict", "tie_word_embeddings", "torch_dtype", "pruned_heads",
    "chunk_size_feed_forward", "use_return_dict", "torchscript",
)  # fmt: skip


def test_documented_and_inherited_defaults_are_those_of_transformers() -> None:
    ours, theirs = XLMRobertaXLConfig(), transformers.XLMRobertaXLConfig()
    for name, default in DOCUMENTED.items():
        assert getattr(ours, name) == default == getattr(theirs, name), name
    for name in INHERITED:
        assert getattr(ours, name) == getattr(theirs, name), name


def test_arguments_can_be_given_by_place_in_the_documented_order() -> None:
    values = (99, 8, 1, 2, 16, "relu", 0.2, 0.3, 20, 2, 0.5, 1e-3, 3, 4, 5, "relative_key", False, 0.4)
    ours, theirs = XLMRobertaXLConfig(*values), transformers.XLMRobertaXLConfig(*values)
    for name in DOCUMENTED:
        assert getattr(ours, name) == getattr(theirs, name), name


def test_what_transformers_writes_is_read(tmp_path: Path) -> None:
    theirs = transformers.XLMRobertaXLConfig(
        hidden_size=64, num_attention_heads=4, id2label={0: "no", 1: "maybe", 2: "yes"}, is_decoder=True,
        label2id={"no": 0, "maybe": 1, "yes": 2}, torch_dtype="bfloat16",
        architectures=["XLMRobertaXLForMaskedLM"],
    )  # fmt: skip
    theirs.save_pretrained(tmp_path)
    ours = XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert ours.num_labels == 3
    assert ours.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert ours.label2id["yes"] == 2
    assert ours.is_decoder
    assert ours.dtype == torch.bfloat16
    assert ours.architectures == ["XLMRobertaXLForMaskedLM"]  # type: ignore[attr-defined]  # an unknown key


def test_what_we_write_is_read_by_transformers(tmp_path: Path) -> None:
    ours = XLMRobertaXLConfig(
        hidden_size=64, num_attention_heads=4, num_labels=5, problem_type="regression", torch_dtype=torch.float16,
        position_embedding_type="relative_key_query", classifier_dropout=0.3, pruned_heads={1: [0, 3]},
        some_key_of_a_newer_version={"a": [1, 2]},
    )  # fmt: skip
    ours.save_pretrained(tmp_path)
    theirs = transformers.XLMRobertaXLConfig.from_pretrained(tmp_path)
    for name in (*DOCUMENTED, "num_labels", "id2label", "label2id", "problem_type", "pruned_heads"):
        assert getattr(theirs, name) == getattr(ours, name), name
    assert theirs.torch_dtype == torch.float16
    assert theirs.some_key_of_a_newer_version == {"a": [1, 2]}
    assert XLMRobertaXLConfig.from_pretrained(tmp_path) == ours


def test_released_config_with_unknown_keys_survives_a_round_trip(tmp_path: Path) -> None:
    released = {
        "architectures": ["XLMRobertaXLForMaskedLM"], "attention_probs_dropout_prob": 0.1, "bos_token_id": 0,
        "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 2560,
        "initializer_range": 0.02, "intermediate_size": 10240, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514, "model_type": "xlm-roberta-xl", "num_attention_heads": 32,
        "num_hidden_layers": 36, "pad_token_id": 1, "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "transformers_version": "4.16.0.dev0", "type_vocab_size": 1, "use_cache": True, "vocab_size": 250880,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(released))
    config = XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert released.items() <= config.to_dict().items()
    assert config.head_size == 80
    assert config.max_num_tokens == 512


def test_overrides_win_and_resize_the_labels(tmp_path: Path) -> None:
    XLMRobertaXLConfig(id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1}).save_pretrained(tmp_path)
    assert XLMRobertaXLConfig.from_pretrained(tmp_path, num_labels=2).id2label == {0: "a", 1: "b"}
    changed = XLMRobertaXLConfig.from_pretrained(tmp_path, num_labels=3, problem_type="regression")
    assert changed.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert changed.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    assert changed.problem_type == "regression"


def test_newer_dtype_key_is_the_same_thing() -> None:
    assert XLMRobertaXLConfig(dtype="bfloat16") == XLMRobertaXLConfig(torch_dtype=torch.bfloat16)
    assert XLMRobertaXLConfig(torch_dtype="torch.float16").torch_dtype == torch.float16
    assert XLMRobertaXLConfig(torch_dtype="auto").dtype is None


def test_a_copy_is_independent() -> None:
    config = XLMRobertaXLConfig(num_labels=3)
    other = config.copy(num_labels=4, is_decoder=True)
    assert (config.num_labels, other.num_labels) == (3, 4)
    assert config != other
    copied = config.copy()
    assert copied == config
    copied.id2label[0] = "changed"
    assert config.id2label[0] == "LABEL_0"


@pytest.mark.parametrize("return_dict", [True, False])
@pytest.mark.parametrize("torchscript", [True, False])
def test_torchscript_wants_tuples(torchscript: bool, return_dict: bool, tmp_path: Path) -> None:
    options = {"torchscript": torchscript, "return_dict": return_dict}
    theirs = transformers.XLMRobertaXLConfig(**options)
    theirs.save_pretrained(tmp_path)
    for ours in (XLMRobertaXLConfig(**options), XLMRobertaXLConfig.from_pretrained(tmp_path)):
        assert ours.torchscript == theirs.torchscript
        assert ours.use_return_dict == theirs.use_return_dict


def test_a_padding_id_can_be_left_out(tmp_path: Path) -> None:
    transformers.XLMRobertaXLConfig(pad_token_id=None, vocab_size=9).save_pretrained(tmp_path)
    config = XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert config.pad_token_id is None
    for name in ("padding_id", "max_num_tokens"):
        with pytest.raises(ValueError, match=r"^config\.pad_token_id must be set, found None: positions are"):
            getattr(config, name)
    config.save_pretrained(tmp_path)
    assert transformers.XLMRobertaXLConfig.from_pretrained(tmp_path).pad_token_id is None
    assert XLMRobertaXLConfig().padding_id == 1


def test_layers_of_pruned_heads_are_counted_from_either_end(tmp_path: Path) -> None:
    transformers.XLMRobertaXLConfig(
        num_hidden_layers=3, num_attention_heads=4, hidden_size=8, pruned_heads={-1: [0], 2: [3], -3: [1]}
    ).save_pretrained(tmp_path)
    config = XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert [config.kept_heads(layer) for layer in (0, 1, 2)] == [[0, 2, 3], [0, 1, 2, 3], [1, 2]]
    assert config.kept_heads(-1) == config.kept_heads(2)


BAD_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"hidden_size": 0}, r"hidden_size must be a positive integer up to 268435456, found 0"),
    ({"num_hidden_layers": 2.5}, r"num_hidden_layers must be a positive integer up to 1024, found 2\.5"),
    ({"hidden_size": 100, "num_attention_heads": 3}, r"hidden_size \(100\) must be a multiple of"),
    ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob must be at least 0 and less than 1"),
    ({"classifier_dropout": -0.1}, r"classifier_dropout must be at least 0"),
    ({"position_embedding_type": "rotary"}, r"position_embedding_type must be one of absolute, relative_key"),
    ({"hidden_act": "swish2"}, r"hidden_act must be one of gelu, relu, silu, gelu_new; found 'swish2'"),
    ({"problem_type": "guessing"}, r"problem_type must be one of regression"),
    ({"pad_token_id": 250880}, r"pad_token_id must be in \[0, vocab_size=250880\)"),
    ({"pad_token_id": -1}, r"pad_token_id must be in \[0, vocab_size=250880\), found -1"),
    ({"max_position_embeddings": 2}, r"leaves no position"),
    ({"add_cross_attention": True}, r"add_cross_attention needs config\.is_decoder"),
    ({"torch_dtype": "float99"}, r"torch_dtype must name a torch dtype"),
]


@pytest.mark.parametrize(("values", "message"), BAD_VALUES)
def test_refusals_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        XLMRobertaXLConfig(**values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "xlm-roberta"}', r"model_type must be 'xlm-roberta-xl', found 'xlm-roberta'"),
        ('{"model_type": ', r"is not valid JSON"),
        ("[1, 2]", r"must hold a JSON object, found list"),
        ('{"hidden_size": -1}', r"hidden_size must be a positive integer"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        XLMRobertaXLConfig.from_pretrained(tmp_path)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json is not there"):
        XLMRobertaXLConfig.from_pretrained(tmp_path)


def test_a_callable_activation_cannot_be_written() -> None:
    config = XLMRobertaXLConfig(hidden_act=torch.tanh)
    with pytest.raises(ValueError, match="hidden_act is a callable"):
        config.to_dict()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A directory with a configuration, and another one in a subfolder."""
    XLMRobertaXLConfig(hidden_size=64).save_pretrained(tmp_path)
    XLMRobertaXLConfig(hidden_size=96).save_pretrained(tmp_path / "sub")
    return tmp_path


DOWNLOAD_OPTIONS: dict[str, Any] = {
    "cache_dir": "somewhere", "force_download": True, "local_files_only": True, "token": "hf_secret",
    "revision": "v1", "resume_download": True, "proxies": None, "use_auth_token": None, "device_map": None,
}  # fmt: skip


def test_options_of_loading_are_obeyed_and_not_kept(saved: Path, tmp_path: Path) -> None:
    for cls in (XLMRobertaXLConfig, transformers.XLMRobertaXLConfig):
        assert cls.from_pretrained(saved, subfolder="sub").hidden_size == 96
        assert cls.from_pretrained(saved, "somewhere", False, True, "hf_secret", "main").hidden_size == 64
    config, unused = XLMRobertaXLConfig.from_pretrained(saved, return_unused_kwargs=True, **DOWNLOAD_OPTIONS)
    assert unused == {}
    assert config == XLMRobertaXLConfig(hidden_size=64)
    config.save_pretrained(tmp_path / "again")
    written = (tmp_path / "again" / "config.json").read_text() + repr(config) + str(config.to_dict())
    assert "hf_secret" not in written
    assert "somewhere" not in written
    assert not DOWNLOAD_OPTIONS.keys() & config.to_dict().keys()
    values, unused = XLMRobertaXLConfig.get_config_dict(saved, subfolder="sub", token="hf_secret", num_labels=4)
    assert (values["hidden_size"], unused) == (96, {"num_labels": 4})


def test_a_secret_is_never_kept(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = json.loads((saved / "config.json").read_text()) | {"token": "hf_secret"}
    (saved / "config.json").write_text(json.dumps(values))
    with caplog.at_level(logging.WARNING):
        read = XLMRobertaXLConfig.from_pretrained(saved)
    assert "config.json holds a secret, 'token', which is not read; delete it there and revoke it" in caplog.text
    configs = [read, XLMRobertaXLConfig(token="hf_secret", use_auth_token="hf_secret"), XLMRobertaXLConfig()]
    configs[2].update({"token": "hf_secret"})
    for config in configs:
        assert "hf_secret" not in repr(config) + config.to_json_string(use_diff=False)
    assert "hf_secret" not in caplog.text


def test_unknown_arguments_are_returned_or_refused(saved: Path) -> None:
    arguments = {"output_attentions": True, "foo": 1, "torch_dtype": "float16"}
    ours, unused = XLMRobertaXLConfig.from_pretrained(saved, return_unused_kwargs=True, **arguments)
    theirs, expected = transformers.XLMRobertaXLConfig.from_pretrained(
        saved, return_unused_kwargs=True, **arguments
    )
    assert unused == expected
    assert ours.output_attentions
    assert theirs.torch_dtype == "float16"
    assert ours.torch_dtype == torch.float16
    with pytest.raises(TypeError, match="XLMRobertaXLConfig has no attribute 'foo'"):
        XLMRobertaXLConfig.from_pretrained(saved, **arguments)
    with pytest.raises(ValueError, match=r"use_auth_token must be None, .*: pass token=$") as caught:
        XLMRobertaXLConfig.from_pretrained(saved, use_auth_token="hf_secret")
    assert "hf_secret" not in str(caught.value)


def test_labels_that_contradict_their_number(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = {0: "a", 1: "b"}
    for cls in (XLMRobertaXLConfig, transformers.XLMRobertaXLConfig):
        assert cls(num_labels=5, id2label=names).id2label == names
        with pytest.raises(ValueError, match="num_labels"):
            cls.from_pretrained(saved, num_labels=5, id2label=names)
    assert "num_labels=5 is not the length of id2label" in caplog.text


def test_nothing_is_uploaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="push_to_hub must be False"):
        XLMRobertaXLConfig().save_pretrained(tmp_path, push_to_hub=True)
    XLMRobertaXLConfig().save_pretrained(save_directory=tmp_path, push_to_hub=False)

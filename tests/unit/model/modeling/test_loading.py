"""Options of `from_pretrained` next to those of Transformers: mismatched sizes, what was loaded, state dicts."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

import model
from model import (
    CheckpointError,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
    XLMRobertaXLModel,
)
from tests.random_cases import CLASSES

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip
OUT_PROJ, OUT_BIAS = "classifier.out_proj.weight", "classifier.out_proj.bias"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_heads(tmp_path / "checkpoint")


def theirs_of(class_name: str, path: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    cls = getattr(transformers, class_name)
    return cls.from_pretrained(path, output_loading_info=True, attn_implementation="eager", **options)


def write_trunk(path: Path) -> Path:
    """A checkpoint of the bare trunk, whose names have no prefix, without a pooler."""
    XLMRobertaXLModel(CONFIG, add_pooling_layer=False).save_pretrained(path)
    return path


def write_heads(path: Path, config: XLMRobertaXLConfig = CONFIG) -> Path:
    """A checkpoint with an LM head and a classifier of sequences."""
    masked_lm, classifier = XLMRobertaXLForMaskedLM(config), XLMRobertaXLForSequenceClassification(config)
    tensors = {**masked_lm.state_dict(), **classifier.state_dict()}
    del tensors["lm_head.decoder.weight"]  # tied
    config.save_pretrained(path)
    save_file({name: x.clone() for name, x in tensors.items()}, path / "model.safetensors", {"format": "pt"})
    return path


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("write", [write_trunk, write_heads])
@pytest.mark.parametrize("options", [{}, {"num_labels": 5, "ignore_mismatched_sizes": True}], ids=str)
def test_what_was_loaded_is_told_as_in_transformers(
    tmp_path: Path, class_name: str, write: Callable[[Path], Path], options: dict[str, Any]
) -> None:
    path = write(tmp_path)
    try:
        _, expected = theirs_of(class_name, path, **options)
    except RuntimeError:  # mismatched sizes that are not to be ignored
        with pytest.raises(CheckpointError, match="tensor classifier"):
            getattr(model, class_name).from_pretrained(path, **options)
        return
    loaded, found = getattr(model, class_name).from_pretrained(path, output_loading_info=True, **options)
    assert isinstance(loaded, getattr(model, class_name))
    assert found == expected


def test_another_number_of_labels(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"num_labels": 5, "ignore_mismatched_sizes": True}
    with caplog.at_level(logging.WARNING):
        loaded = XLMRobertaXLForSequenceClassification.from_pretrained(directory, **options)
    assert f"of another shape in the checkpoint, newly initialised: {OUT_BIAS} [2], here [5], " in caplog.text
    stored = XLMRobertaXLForSequenceClassification.from_pretrained(directory)
    for name, tensor in stored.state_dict().items():
        if "out_proj" not in name:
            assert torch.equal(loaded.state_dict()[name], tensor)
    assert loaded.classifier.out_proj.weight.shape == (5, 16)
    assert loaded.classifier.out_proj.weight.std().item() == pytest.approx(CONFIG.initializer_range, rel=0.3)
    assert not loaded.classifier.out_proj.bias.any()
    assert loaded.load_report is not None
    assert not loaded.load_report.new
    assert [name for name, _, _ in loaded.load_report.mismatched] == [OUT_BIAS, OUT_PROJ]


def test_another_vocabulary(directory: Path) -> None:
    """Tied weights hang in two places and are named once; the trunk is not said to be missing."""
    options: dict[str, Any] = {"vocab_size": 70, "ignore_mismatched_sizes": True}
    _, expected = theirs_of("XLMRobertaXLForMaskedLM", directory, **options)
    loaded, found = XLMRobertaXLForMaskedLM.from_pretrained(directory, output_loading_info=True, **options)
    assert sorted(found["mismatched_keys"]) == sorted(expected["mismatched_keys"])
    assert found["missing_keys"] == expected["missing_keys"]
    assert loaded.lm_head.decoder.weight is loaded.get_input_embeddings().weight
    assert loaded.lm_head.decoder.weight.shape == (70, 16)
    assert not loaded.lm_head.decoder.weight[CONFIG.pad_token_id].any()
    assert loaded(torch.tensor([[0, 65, 2]])).logits.isfinite().all()


def test_a_missing_trunk_stays_an_error(directory: Path) -> None:
    state_dict = dict(XLMRobertaXLModel.from_pretrained(directory).state_dict())
    del state_dict["encoder.LayerNorm.weight"]
    with pytest.raises(
        CheckpointError, match=r"state_dict: 1 tensors of the trunk are missing: encoder\.LayerNorm"
    ):
        XLMRobertaXLModel.from_pretrained(directory, state_dict=state_dict, ignore_mismatched_sizes=True)


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_state_dict_in_place_of_the_files(directory: Path, class_name: str) -> None:
    cls = getattr(model, class_name)
    source = cls(CONFIG)
    given = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    loaded = cls.from_pretrained(directory, state_dict=given)
    assert_same(loaded.state_dict(), given)
    assert not loaded.load_report.new
    assert not loaded.load_report.unused
    without_files = cls.from_pretrained(None, config=CONFIG, state_dict=given, torch_dtype="bfloat16")
    assert_same(without_files.state_dict(), {name: x.bfloat16() for name, x in given.items()})
    next(iter(given.values())).zero_()  # what was loaded is a copy
    assert next(iter(loaded.parameters())).any()


def test_a_state_dict_of_the_trunk_fits_a_task_model() -> None:
    trunk = XLMRobertaXLModel(CONFIG, add_pooling_layer=False)
    loaded, info = XLMRobertaXLForTokenClassification.from_pretrained(
        None, config=CONFIG, state_dict=trunk.state_dict(), output_loading_info=True
    )
    assert_same(loaded.roberta.state_dict(), dict(trunk.state_dict()))
    assert info["missing_keys"] == ["classifier.bias", "classifier.weight"]
    with pytest.raises(CheckpointError, match=r"state_dict: tensor embeddings\.word_.* must be \[61, 16\], found"):
        XLMRobertaXLModel.from_pretrained(None, config=CONFIG.copy(vocab_size=61), state_dict=trunk.state_dict())
    twice = {**trunk.state_dict(), "roberta.encoder.LayerNorm.bias": torch.zeros(16)}
    with pytest.raises(CheckpointError, match=r"state_dict holds both encoder\.LayerNorm\.bias and roberta\."):
        XLMRobertaXLModel.from_pretrained(None, config=CONFIG, state_dict=twice)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_neither_path_nor_configuration_is_refused() -> None:
    for options in ({"state_dict": {}}, {"config": CONFIG}):
        with pytest.raises(ValueError, match="must be a directory or a hub id, found None"):
            XLMRobertaXLModel.from_pretrained(None, **options)


def test_a_configuration_by_its_path(directory: Path, tmp_path: Path) -> None:
    CONFIG.copy(num_labels=2, problem_type="regression", torch_dtype="float16").save_pretrained(
        tmp_path / "config"
    )
    file = tmp_path / "config" / "config.json"
    for path in (tmp_path / "config", str(tmp_path / "config"), file):
        ours = XLMRobertaXLForSequenceClassification.from_pretrained(directory, config=path, is_decoder=True)
        theirs, _ = theirs_of("XLMRobertaXLForSequenceClassification", directory, config=path, is_decoder=True)
        for name in ("problem_type", "is_decoder", "num_labels", "name_or_path"):
            assert getattr(ours.config, name) == getattr(theirs.config, name)
        assert ours.dtype == torch.float16
        assert ours.name_or_path == theirs.name_or_path == str(directory)


def test_arguments_of_the_class_by_place_and_by_name(directory: Path) -> None:
    for cls in (XLMRobertaXLModel, transformers.XLMRobertaXLModel):
        assert cls.from_pretrained(directory, False).pooler is None
        assert cls.from_pretrained(pretrained_model_name_or_path=directory, add_pooling_layer=False).pooler is None
        with pytest.raises(TypeError, match="unexpected keyword argument 'poling'"):
            cls.from_pretrained(directory, poling=False)


NEUTRAL: dict[str, Any] = {
    "low_cpu_mem_usage": False, "resume_download": False, "force_download": False, "local_files_only": False,
    "device_map": None, "use_auth_token": None, "proxies": None, "from_tf": False, "from_flax": False,
    "trust_remote_code": None, "variant": None, "max_memory": None, "offload_folder": None,
    "offload_state_dict": False, "load_in_8bit": False, "mirror": None, "subfolder": "", "revision": "main",
    "cache_dir": None, "output_loading_info": False, "ignore_mismatched_sizes": False, "state_dict": None,
}  # fmt: skip


@pytest.mark.parametrize("name", NEUTRAL)
def test_options_that_ask_for_nothing_change_nothing(directory: Path, name: str) -> None:
    expected = XLMRobertaXLModel.from_pretrained(directory)
    transformers.XLMRobertaXLModel.from_pretrained(directory, **{name: NEUTRAL[name]})
    found = XLMRobertaXLModel.from_pretrained(directory, **{name: NEUTRAL[name]})
    assert found.config == expected.config
    assert torch.equal(found.encoder.LayerNorm.weight, expected.encoder.LayerNorm.weight)


@pytest.mark.parametrize("name", ["low_cpu_mem_usage", "resume_download", "trust_remote_code"])
def test_options_that_are_always_so(directory: Path, name: str) -> None:
    assert XLMRobertaXLModel.from_pretrained(directory, **{name: True}).config.vocab_size == 60


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"device_map": "auto"}, "device_map must be None, other values are not supported: device= says"),
        # The first GPU, which is equal to False.
        ({"device_map": 0}, "device_map must be None"),
        ({"use_auth_token": "hf_secret"}, "use_auth_token must be None, .* pass token="),
        ({"from_tf": True}, "from_tf must be None"),
        ({"variant": "fp16"}, "variant must be None, .* rename the files"),
    ],
)
def test_options_that_cannot_be_obeyed_are_refused(directory: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        XLMRobertaXLModel.from_pretrained(directory, **option)
    assert "hf_secret" not in str(caught.value)


def test_a_subfolder(directory: Path) -> None:
    write_heads(directory / "a" / "b", CONFIG.copy(hidden_size=32))
    for cls in (XLMRobertaXLModel, transformers.XLMRobertaXLModel):
        loaded = cls.from_pretrained(directory, subfolder="a/b", token="hf_secret")
        assert loaded.config.hidden_size == loaded.encoder.LayerNorm.weight.shape[0] == 32
        assert "hf_secret" not in str(loaded.config.to_dict())
    with pytest.raises(ValueError, match=r"config\.json is not there"):
        XLMRobertaXLModel.from_pretrained(directory, subfolder="c")

"""Writing checkpoints: every value comes back, here and in Transformers, in one file or several."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.checkpoints.writer import TensorSpec, parse_size, plan_files, write_safetensors
from tests.oracle import assert_close, random_ids, randomize

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20, num_labels=3, id2label={0: "a", 1: "b", 2: "c"},
)  # fmt: skip
CLASSES = [XLMRobertaXLForMaskedLM, XLMRobertaXLForSequenceClassification, XLMRobertaXLModel]


def model_of(cls: Any, **changes: Any) -> Any:
    model = cls(CONFIG.copy(**changes)).eval()
    randomize(model)
    return model


def assert_same_states(one: Any, other: Any) -> None:
    assert set(one.state_dict()) == set(other.state_dict())
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("max_shard_size", ["5GB", "4KB", 1])
def test_round_trip(tmp_path: Path, cls: Any, max_shard_size: int | str) -> None:
    model = model_of(cls)
    model.save_pretrained(tmp_path / "new" / "directory", max_shard_size=max_shard_size)
    loaded = cls.from_pretrained(tmp_path / "new" / "directory")
    assert_same_states(loaded, model)
    assert loaded.config.id2label == CONFIG.id2label
    assert loaded.config.architectures == [cls.__name__]
    assert not loaded.load_report.new
    assert not loaded.load_report.unused


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("max_shard_size", ["5GB", "12KB"])
@pytest.mark.filterwarnings("ignore:`clean_up_tokenization_spaces`")
def test_transformers_loads_it(tmp_path: Path, cls: Any, max_shard_size: str, tie_word_embeddings: bool) -> None:
    model = model_of(cls, tie_word_embeddings=tie_word_embeddings)
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    theirs, report = getattr(transformers, cls.__name__).from_pretrained(
        tmp_path, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert_same_states(theirs, model)
    ids = random_ids(CONFIG, 2, 6)
    with torch.inference_mode():
        assert_close(theirs(ids)[0], model(ids)[0])


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("safe_serialization", [True, False])
@pytest.mark.parametrize("max_shard_size", ["5GB", "12KB"])
def test_what_transformers_saves_is_loaded(
    tmp_path: Path, cls: Any, max_shard_size: str, safe_serialization: bool
) -> None:
    model = model_of(cls)
    theirs = getattr(transformers, cls.__name__)(
        transformers.XLMRobertaXLConfig(**{k: v for k, v in CONFIG.to_dict().items() if k != "model_type"})
    )
    theirs.load_state_dict(model.state_dict())
    theirs.save_pretrained(tmp_path, max_shard_size=max_shard_size, safe_serialization=safe_serialization)
    suffixes = {file.suffix for file in tmp_path.iterdir()} - {".json"}
    assert suffixes == ({".safetensors"} if safe_serialization else {".bin"})
    loaded = cls.from_pretrained(tmp_path)
    assert_same_states(loaded, model)
    assert not loaded.load_report.new
    assert not loaded.load_report.unused


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_are_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    model = model_of(XLMRobertaXLForMaskedLM).to(dtype)
    model.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["lm_head.dense.weight"].dtype == dtype
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path)
    assert loaded.dtype == dtype
    assert_same_states(loaded, model)


def test_files_respect_the_size_and_the_index_is_complete(tmp_path: Path) -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    model.save_pretrained(tmp_path, max_shard_size=5000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(files) > 3
    assert {file.name for file in files} == set(index["weight_map"].values())
    total = 0
    for file in files:
        tensors = load_file(file)
        size = sum(t.numel() * 4 for t in tensors.values())
        assert size <= 5000 or len(tensors) == 1
        assert {name for name, where in index["weight_map"].items() if where == file.name} == set(tensors)
        total += size
    assert index["metadata"]["total_size"] == total
    assert not list(tmp_path.glob("*.tmp"))


def test_an_earlier_checkpoint_is_replaced(tmp_path: Path) -> None:
    model_of(XLMRobertaXLForMaskedLM).save_pretrained(tmp_path, max_shard_size="4KB")
    (tmp_path / "model-notes.txt").write_text("mine")
    smaller = model_of(XLMRobertaXLModel)
    smaller.save_pretrained(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["config.json", "model-notes.txt", "model.safetensors"]
    smaller.save_pretrained(tmp_path, max_shard_size="4KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert_same_states(XLMRobertaXLModel.from_pretrained(tmp_path), smaller)


def test_saving_where_it_was_loaded_from(tmp_path: Path) -> None:
    model_of(XLMRobertaXLForMaskedLM).save_pretrained(tmp_path)
    model = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path)
    for name, tensor in XLMRobertaXLForMaskedLM.from_pretrained(tmp_path).state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_nothing_is_written_where_the_config_cannot_be(tmp_path: Path) -> None:
    model = model_of(XLMRobertaXLModel, hidden_act=torch.tanh)
    with pytest.raises(ValueError, match="hidden_act is a callable"):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_file_is_what_the_format_asks_for(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 5), "b": torch.randn(7).bfloat16(), "c": torch.zeros(0, 4)}
    specs = [TensorSpec(name, tuple(t.shape), t.dtype) for name, t in tensors.items()]
    write_safetensors(tmp_path / "x.safetensors", specs, tensors.values())
    assert int.from_bytes((tmp_path / "x.safetensors").read_bytes()[:8], "little") % 8 == 0
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        for name, tensor in tensors.items():
            assert torch.equal(file.get_tensor(name), tensor)


def test_plan() -> None:
    specs = [TensorSpec(str(i), (size,), torch.float16) for i, size in enumerate([2, 3, 9, 1, 1])]
    plan = {file: [s.name for s in members] for file, members in plan_files(specs, 10).items()}
    assert plan == {
        "model-00001-of-00003.safetensors": ["0", "1"],
        "model-00002-of-00003.safetensors": ["2"],
        "model-00003-of-00003.safetensors": ["3", "4"],
    }
    assert list(plan_files(specs, 1000)) == ["model.safetensors"]


@pytest.mark.parametrize(
    ("text", "expected"), [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("2KiB", 2048), ("7B", 7), (12, 12)]
)
def test_sizes(text: int | str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["many", "5", "5XB", "-5GB", 0, "0B"])
def test_bad_sizes_are_refused(text: int | str) -> None:
    with pytest.raises(ValueError, match="max_shard_size must be"):
        parse_size(text)

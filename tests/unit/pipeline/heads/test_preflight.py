import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.heads.preflight import require_runnable
from pipeline.heads.resolve import resolve_heads
from tests.checkpoints import write_random_checkpoint
from tests.tiny_tokenizer import VOCAB_FILE_NAME
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, job_of, tiny_checkpoint, tiny_config

VECTOR = {"task": "embedding"}


def check(model: Path, /, *heads: dict[str, Any], **sections: dict[str, Any]) -> None:
    named = {f"head {i}": head for i, head in enumerate(heads or (VECTOR,))}
    job = job_of(model, named, **sections)
    require_runnable(job, resolve_heads(job))


def refusal(model: Path, /, *heads: dict[str, Any], **sections: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check(model, *heads, **sections)
    return str(caught.value)


def test_a_whole_model_passes(tmp_path: Path) -> None:
    model, other = tiny_checkpoint(tmp_path / "a"), tiny_checkpoint(tmp_path / "b")
    check(model, VECTOR, {**VECTOR, "trunk": str(other)}, model={"tensor_parallel_size": 4})


def test_more_ranks_than_attention_heads_are_refused(tmp_path: Path) -> None:
    found = refusal(tiny_checkpoint(tmp_path), model={"tensor_parallel_size": 5})
    assert found.startswith("model.tensor_parallel_size: found 5, expected at most the 4 attention heads")


@pytest.mark.parametrize(
    ("sizes", "num_ranks", "fits"),
    [
        ((64, 4, 128), 4, True),
        ((64, 4, 128), 3, False),  # 128 does not divide
        ((96, 6, 192), 4, True),  # heads do not divide, but each is as wide as float8 wants
        ((48, 4, 64), 2, False),  # two heads of 12
        ((48, 4, 64), 1, True),
        ((40, 4, 64), 1, False),
    ],
    ids=str,
)
def test_sizes_that_float8_cannot_multiply_are_refused(
    sizes: tuple[int, int, int], num_ranks: int, fits: bool, tmp_path: Path
) -> None:
    names = ("hidden_size", "num_attention_heads", "intermediate_size")
    directory = tiny_checkpoint(tmp_path, **dict(zip(names, sizes, strict=True)))
    model = {"dtype": "float8", "tensor_parallel_size": num_ranks}
    if fits:
        check(directory, model=model)
    else:
        found = refusal(directory, model=model)
        assert found.startswith(f'model.dtype: found "float8" for {directory} on {num_ranks} ranks, expected')


def test_relative_positions_are_refused(tmp_path: Path) -> None:
    found = refusal(tiny_checkpoint(tmp_path, position_embedding_type="relative_key"))
    assert found.startswith("model.path: ")
    assert "'relative_key', expected 'absolute'" in found


@pytest.mark.parametrize("damage", ["absent", "a pointer of Git LFS"])
def test_a_model_without_a_tokenizer_is_refused(damage: str, tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    (model / VOCAB_FILE_NAME).unlink()
    if damage != "absent":
        (model / VOCAB_FILE_NAME).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    found = refusal(model)
    assert found.startswith("model.path: ")
    assert VOCAB_FILE_NAME in found


def test_a_tokenizer_with_other_tokens_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    settings = json.dumps({"mask_token": "[MASK]"})
    (model / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    assert "mask_token is '[MASK]', expected '<mask>'" in refusal(model)


def test_fewer_embeddings_than_tokens_are_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    small = tiny_checkpoint(tmp_path / "small", vocab_size=TINY_VOCAB_SIZE - 1)
    found = refusal(model, VECTOR, {**VECTOR, "trunk": str(small)})
    assert found.startswith("heads.head 1.trunk: ")
    assert f"embeddings for {TINY_VOCAB_SIZE - 1} tokens" in found
    assert f"has {TINY_VOCAB_SIZE}" in found
    check(tiny_checkpoint(tmp_path / "exact", vocab_size=TINY_VOCAB_SIZE))


def test_a_trunk_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    # The configuration asks for a layer more than is stored.
    write_random_checkpoint(tmp_path / "short", tiny_config(num_hidden_layers=1))
    (tmp_path / "short" / "model.safetensors").replace(model / "model.safetensors")
    found = refusal(model)
    assert found.startswith("model.path: ")
    assert "tensors of the trunk are missing: " in found
    assert "encoder.layer.1." in found


def test_absent_weights_are_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    (model / "model.safetensors").unlink()
    assert refusal(model).startswith(f"model.path: {model}: expected model.safetensors")


def test_a_head_with_another_number_of_labels_than_its_configuration_says_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    config = json.loads((model / "config.json").read_text())
    labels = {str(i): f"LABEL_{i}" for i in range(5)}
    config |= {"id2label": labels, "label2id": {label: int(i) for i, label in labels.items()}}
    (model / "config.json").write_text(json.dumps(config))
    found = refusal(model, {"task": "text-classification"})
    assert found.startswith("heads.head 0.weights: ")
    assert "classifier.out_proj.weight is [3, 32], expected [5, 32]" in found

"""Trunks of equal content are one; a head on a trunk that it was not trained on is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, resolve_heads
from pipeline.heads.shared_trunks import share_trunks, trunk_digest
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint

VECTOR = {"task": "embedding"}
TOPIC = {"task": "text-classification"}
TRUNK = ("roberta.embeddings.", "roberta.encoder.")


def shared(model: Path, **heads: dict[str, Any]) -> list[Head]:
    return share_trunks(resolve_heads(job_of(model, heads)))


def tensors_of(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / "model.safetensors")


def rewrite(directory: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, directory / "model.safetensors")
    return directory


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "model")


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The same trunk under other names, in another file layout, with another classifier."""
    shutil.copytree(model, tmp_path / "copy")
    tensors = dict(reversed(tensors_of(model).items()))
    tensors["classifier.dense.weight"] = tensors["classifier.dense.weight"] + 1
    return rewrite(tmp_path / "copy", {name.removeprefix("roberta."): t for name, t in tensors.items()})


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "other", seed=1)


def test_equal_trunks_get_the_path_of_the_first(model: Path, copy: Path, other: Path) -> None:
    heads = shared(
        model,
        topic=TOPIC,
        copied={**TOPIC, "trunk": str(copy)},
        foreign={**VECTOR, "trunk": str(other)},
        foreign_too={**TOPIC, "trunk": str(other)},
    )
    assert [head.name for head in heads] == ["topic", "copied", "foreign", "foreign_too"]
    assert [head.trunk for head in heads] == [str(model), str(model), str(other), str(other)]
    # The head's own weights stay its own.
    assert [head.options.weights for head in heads] == [str(path) for path in (model, copy, other, other)]


def test_the_first_of_equal_trunks_is_that_of_the_first_head(model: Path, copy: Path) -> None:
    heads = shared(model, copied={**TOPIC, "trunk": str(copy)}, topic=TOPIC)
    assert [head.trunk for head in heads] == [str(copy), str(copy)]


@pytest.mark.parametrize(
    "changes",
    [{"is_decoder": True}, {"num_attention_heads": 2}, {"hidden_act": "relu"}, {"layer_norm_eps": 0.1}],
    ids=str,
)
def test_equal_weights_that_are_computed_otherwise_are_other_trunks(
    changes: dict[str, Any], model: Path, copy: Path
) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    task = {"task": "causal-lm-loss"} if "is_decoder" in changes else VECTOR
    heads = shared(model, topic=TOPIC, other={**task, "trunk": str(copy)})
    assert [head.trunk for head in heads] == [str(model), str(copy)]


def test_heads_of_one_directory_do_not_have_their_trunk_read(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"no tensors")
    heads = resolve_heads(job_of(model, {"vector": VECTOR, "other": VECTOR}))
    assert share_trunks(heads) == heads


def test_a_head_that_comes_with_another_trunk_is_refused(model: Path, other: Path) -> None:
    with pytest.raises(ConfigError, match=r"^heads\.topic\.trunk: ") as caught:
        shared(model, vector=VECTOR, topic={**TOPIC, "weights": str(other)})
    assert f"differs from {model}" in str(caught.value)
    assert f"write trunk = {str(other)!r}" in str(caught.value)


def test_a_head_that_comes_with_the_same_trunk_or_none_is_taken(model: Path, copy: Path, other: Path) -> None:
    alone = rewrite(other, {n: t for n, t in tensors_of(other).items() if not n.startswith(TRUNK)})
    heads = shared(
        model, copied={**TOPIC, "weights": str(copy)}, alone={**TOPIC, "weights": str(alone)}, vector=VECTOR
    )
    assert {head.trunk for head in heads} == {str(model)}
    assert [head.options.weights for head in heads] == [str(copy), str(alone), str(model)]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_damaged_checkpoint_is_refused_under_the_field_that_names_it(
    is_named: bool, model: Path, other: Path
) -> None:
    damaged, field = (other, "heads.vector.trunk") if is_named else (model, "model.path")
    (damaged / "model.safetensors").unlink()
    options = {"trunk": str(other)} if is_named else {"weights": str(other)}
    with pytest.raises(ConfigError) as caught:
        shared(model, vector={**VECTOR, **options}, **({"topic": TOPIC} if is_named else {}))
    assert str(caught.value).startswith(f"{field}: {damaged}")


def change_value(tensors: dict[str, Tensor]) -> None:
    tensors["roberta.encoder.LayerNorm.bias"][-1] += 2**-10


def change_name(tensors: dict[str, Tensor]) -> None:
    key, query = (f"roberta.encoder.layer.0.attention.self.{name}.weight" for name in ("key", "query"))
    tensors[key], tensors[query] = tensors[query], tensors[key]


def change_dtype(tensors: dict[str, Tensor]) -> None:
    tensors.update({name: tensor.bfloat16() for name, tensor in tensors.items()})


def change_shape(tensors: dict[str, Tensor]) -> None:
    name = "roberta.encoder.layer.0.intermediate.dense.weight"
    tensors[name] = tensors[name].reshape(tensors[name].shape[::-1])


def change_head(tensors: dict[str, Tensor]) -> None:
    tensors["lm_head.bias"] = torch.zeros_like(tensors["lm_head.bias"])
    del tensors["roberta.pooler.dense.weight"], tensors["roberta.pooler.dense.bias"]


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (change_value, False),
        (change_name, False),
        (change_dtype, False),
        (change_shape, False),
        (change_head, True),
    ],
)
def test_a_trunk_is_its_names_shapes_dtypes_and_values(
    change: Any, is_same: bool, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "changed").mkdir()
    tensors = tensors_of(model)
    change(tensors)
    changed = rewrite(tmp_path / "changed", tensors)
    assert (trunk_digest(str(changed)) == trunk_digest(str(model))) == is_same

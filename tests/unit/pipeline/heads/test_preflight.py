import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.heads.preflight import Findings, require_runnable
from pipeline.heads.resolve import resolve_heads
from tests.checkpoints import write_random_checkpoint
from tests.tiny_tokenizer import VOCAB_FILE_NAME
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, job_of, tiny_checkpoint, tiny_config

VECTOR = {"task": "embedding"}
TOPIC = {"task": "text-classification"}


def check(model: Path, /, *heads: dict[str, Any], **sections: dict[str, Any]) -> Findings:
    named = {f"head {i}": head for i, head in enumerate(heads or (VECTOR,))}
    job = job_of(model, named, **sections)
    return require_runnable(job, resolve_heads(job))


def refusal(model: Path, /, *heads: dict[str, Any], **sections: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check(model, *heads, **sections)
    return str(caught.value)


def change_config(directory: Path, **changes: Any) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_tensors(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = directory / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in change(load_file(file)).items()}, file)


def test_a_whole_model_passes(tmp_path: Path) -> None:
    model, other = tiny_checkpoint(tmp_path / "a"), tiny_checkpoint(tmp_path / "b")
    found = check(model, VECTOR, {**VECTOR, "trunk": str(other)}, model={"tensor_parallel_size": 4})
    assert found.warnings == []


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
        assert found.startswith(
            f'model.dtype: found "float8" for {directory} on {num_ranks} rank{"s"[: num_ranks > 1]}, expected'
        )


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
    assert "num_hidden_layers is 2 in the configuration and 1 in the weights" in found
    change_tensors(model, lambda tensors: {n: t for n, t in tensors.items() if "self.query" not in n})
    change_config(model, num_hidden_layers=1)
    assert "2 tensors of the trunk are missing: encoder.layer.0.attention.self.query.weight" in refusal(model)


def test_absent_weights_are_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    (model / "model.safetensors").unlink()
    assert refusal(model).startswith(f"model.path: {model}: expected model.safetensors")


def test_a_head_with_another_number_of_labels_than_its_configuration_says_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    labels = {str(i): f"LABEL_{i}" for i in range(5)}
    change_config(model, id2label=labels, label2id={label: int(i) for i, label in labels.items()})
    found = refusal(model, {"task": "text-classification"})
    assert found.startswith(f"model.path: {model}: for text-classification, ")
    assert (
        "classifier.out_proj.weight must be [5, 32], found [3, 32]: num_labels is 5 in the configuration" in found
    )


@pytest.mark.parametrize(
    ("options", "held", "missing"),
    [
        (
            TOPIC,
            {"lm_head", "pooler"},
            "classifier.dense.weight, classifier.dense.bias, classifier.out_proj.weight",
        ),
        ({"task": "embedding", "pooling": "pooler"}, {"lm_head", "classifier"}, "pooler.dense.weight"),
        ({"task": "masked-lm-loss"}, {"classifier"}, "lm_head.bias, lm_head.dense.weight, lm_head.dense.bias"),
        ({"task": "token-classification"}, {"lm_head"}, "classifier.weight, classifier.bias"),
        ({"task": "multiple-choice"}, {"lm_head"}, "pooler.dense.weight, pooler.dense.bias, classifier.weight"),
    ],
    ids=lambda value: str(value["task"]) if isinstance(value, dict) else "",
)
def test_a_head_without_its_tensors_is_refused(
    options: dict[str, Any], held: set[str], missing: str, tmp_path: Path
) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    without = tiny_checkpoint(tmp_path / "without", heads=frozenset(held))
    for named, field in ((model, "heads.head 0.weights"), (without, "model.path")):
        found = refusal(named, {**options, "weights": str(without)})
        assert found.startswith(f"{field}: {without} has no {missing}")
        assert f"which task {options['task']} needs; name in heads.head 0.weights the directory" in found


def test_any_tensor_of_a_head_is_looked_for(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    change_tensors(model, lambda tensors: {n: t for n, t in tensors.items() if n != "classifier.out_proj.bias"})
    assert "has no classifier.out_proj.bias, which task text-classification needs" in refusal(model, TOPIC)


@pytest.mark.parametrize("damage", ["absent", "truncated", "a pointer of Git LFS", "an adapter"])
@pytest.mark.parametrize("options", [{}, {"weights": "DAMAGED"}, {"trunk": "DAMAGED"}], ids=str)
def test_damaged_weights_are_the_fault_of_the_field_that_names_them(
    damage: str, options: dict[str, str], tmp_path: Path
) -> None:
    model, damaged = tiny_checkpoint(tmp_path / "model"), tiny_checkpoint(tmp_path / "damaged")
    file = damaged / "model.safetensors"
    match damage:
        case "absent":
            file.unlink()
        case "truncated":
            file.write_bytes(file.read_bytes()[:-10])
        case "a pointer of Git LFS":
            file.write_text("version https://git-lfs.github.com/spec/v1\n")
        case "an adapter":
            file.rename(damaged / "adapter_model.safetensors")
    found = refusal(model if options else damaged, {**TOPIC, **{key: str(damaged) for key in options}})
    field = f"heads.head 0.{next(iter(options))}" if options else "model.path"
    assert found.startswith(f"{field}: {damaged}")
    if not options:
        assert "heads." not in found
    for word, wanted in (("Git LFS", "pointer" in damage), ("LoRA", "adapter" in damage)):
        assert (word in found) == wanted


def test_what_is_passed_over_is_a_warning(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    (model / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
    )
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "trainer_state.json"):
        (model / name).write_bytes(b"")
    assert check(model).warnings == [
        f"{model}: weights are read from model.safetensors; passed over: model.safetensors.index.json, "
        "pytorch_model.bin"
    ]


def test_what_nobody_reads_is_counted_by_prefix(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    of_lm_head, pooler = "lm_head.* (5 tensors)", "roberta.pooler.* (2 tensors)"
    assert check(model, TOPIC).unused == [f"{model}: {of_lm_head}, {pooler}"]
    change_tensors(model, lambda tensors: tensors | {"roberta.encoder.layer.0.adapter.x": torch.zeros(2)})
    change_tensors(model, lambda tensors: tensors | {"roberta.embeddings.position_ids": torch.arange(514)})
    everything = TOPIC, {"task": "masked-lm-loss"}, {"task": "embedding", "pooling": "pooler"}
    assert check(model, *everything).unused == [f"{model}: roberta.encoder.* (1 tensor)"]


def test_a_trunk_that_comes_with_a_head_is_not_unused(tmp_path: Path) -> None:
    """It is the same as the one that is read, or the job is refused."""
    model = tiny_checkpoint(tmp_path / "model")
    head = shutil.copytree(model, tmp_path / "head")
    found = check(model, {**TOPIC, "weights": str(head)})
    assert f"{head}: lm_head.* (5 tensors), roberta.pooler.* (2 tensors)" in found.unused


def test_layers_that_the_weights_do_not_have_are_refused_before_they_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_checkpoint(tmp_path)
    monkeypatch.setattr("pipeline.heads.weights_fit.parameters_of_trunk", None)
    change_config(model, num_hidden_layers=1000)
    assert "num_hidden_layers is 1000 in the configuration and 2 in the weights" in refusal(model)
    change_config(model, num_hidden_layers=10**9)
    assert "config.num_hidden_layers must be a positive integer up to 1024, found 1000000000" in refusal(model)


def test_a_configuration_of_other_types_is_refused_by_the_field_of_the_job(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    for name, value in (
        ("id2label", ["a"]),
        ("pruned_heads", 5),
        ("hidden_size", True),
        ("num_labels", 2**31 - 1),
    ):
        change_config(model, **{"id2label": None, "label2id": None, "pruned_heads": {}, name: value})
        assert refusal(model).startswith(f"model.path: {model}/config.json: config.{name} must")
        change_config(model, hidden_size=16, num_labels=2)
    (model / "config.json").write_text("[" * 100_000)
    assert refusal(model).startswith(f"model.path: {model}/config.json is nested more than")

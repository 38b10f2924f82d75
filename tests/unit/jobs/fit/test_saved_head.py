"""Saved heads, as `annotate` runs them, against the fitted coefficients on features of the same rows."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from jobs.fit.fitted_head import FittedHead, Pooling, Problem
from jobs.fit.saved_head import TRANSFORMERS, as_transformers, save_head
from model import ShardGroup, XLMRobertaXLConfig, XLMRobertaXLForTokenClassification
from pipeline.errors import ConfigError
from pipeline.heads.preflight import require_runnable
from pipeline.heads.resolve import resolve_heads
from tests.distributed.processes import run_on_ranks
from tests.pipeline_in_process import annotate_in_process
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint

NUM_LAYERS, SIZE = 3, 32
LABELS = ("no", "perhaps", "yes")
PAIRED = [text[::-1] for text in SENTENCES]
WORDS = [text.split() for text in SENTENCES]
# A head in each form: layers, pooling, hidden width, problem.
FORMS: dict[str, tuple[tuple[int, ...], Pooling, int | None, Problem]] = {
    "mean": ((2,), "mean", None, "single"),
    "last": ((NUM_LAYERS,), "mean", None, "single"),
    "first": ((1,), "cls", 5, "single"),
    "greatest": ((0,), "max", None, "multi_label"),
    "mix": ((0, 2, NUM_LAYERS), "mean", 4, "multi_label"),
    "mixed_first": ((1, 2), "cls", None, "single"),
    "value": ((1,), "mean", 3, "regression"),
    "pair": ((2,), "mean", None, "single"),
    "tags": ((2,), "word", None, "single"),
    "mixed_tags": ((1, NUM_LAYERS), "word", 6, "single"),
}


def random_head(name: str) -> FittedHead:
    layers, pooling, width, problem = FORMS[name]
    rng = np.random.default_rng(list(FORMS).index(name))
    num_outputs = 1 if problem == "regression" else len(LABELS)
    sizes = [SIZE, *([] if width is None else [width]), num_outputs]
    dense = tuple(
        (rng.normal(size=(out, size)) / np.sqrt(size), rng.normal(size=out)) for size, out in pairwise(sizes)
    )
    return FittedHead(
        layers=layers,
        pooling=pooling,
        mix=rng.normal(size=len(layers)) if len(layers) > 1 else None,
        dense=dense,
        activation=None if width is None else "tanh" if pooling == "cls" else "relu",
        problem=problem,
        temperature=1.0 if problem == "regression" else 1.7,
    )


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(
        tmp_path_factory.mktemp("trunk"), heads=frozenset(), num_hidden_layers=NUM_LAYERS, seed=4
    )


@pytest.fixture(scope="module")
def saved(trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("heads")
    config = XLMRobertaXLConfig.from_pretrained(trunk)
    for name, (*_, problem) in FORMS.items():
        labels = ("value",) if problem == "regression" else LABELS
        save_head(directory / name, random_head(name), labels, config)
    return directory


def sections(saved: Path, trunk: Path) -> dict[str, dict[str, Any]]:
    """Saved heads, and beside them the features of all layers that each reads."""
    found: dict[str, dict[str, Any]] = {}
    for name, (_, pooling, *_) in FORMS.items():
        task = "token-classification" if pooling == "word" else "text-classification"
        columns: dict[str, str] = {"text": "text"}
        if pooling == "word":
            columns = {"words": "words"}
        elif name == "pair":
            columns["text_pair"] = "second"
        found[name] = {"task": task, **columns, "weights": str(saved / name)}
        pooled = {} if pooling == "word" else {"pooling": pooling}
        found[f"features_of_{name}"] = {
            "task": "embedding", **columns, **pooled, "layers": "all", "normalize": False, "weights": str(trunk)
        }  # fmt: skip
    return found


def annotated(directory: Path, saved: Path, trunk: Path, group: ShardGroup | None = None) -> dict[str, list[Any]]:
    table = pa.table({"text": list(SENTENCES), "second": PAIRED, "words": WORDS})
    directory.mkdir(parents=True, exist_ok=True)
    output, _ = annotate_in_process(
        directory, table, sections(saved, trunk), trunk, group=group, dtype="float32", token_budget=512
    )
    return {name: output.column(name).to_pylist() for name in output.column_names}


@pytest.fixture(scope="module")
def columns(saved: Path, trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    return annotated(tmp_path_factory.mktemp("out"), saved, trunk)


def features_of(columns: dict[str, list[Any]], name: str) -> list[NDArray[np.float32]]:
    layers, pooling, *_ = FORMS[name]
    rows = columns[f"features_of_{name}"]
    if pooling == "word":
        return [
            np.concatenate([np.array(row[f"layer_{layer}"], dtype=np.float32) for row in rows]) for layer in layers
        ]
    return [np.array([row[f"layer_{layer}"] for row in rows], dtype=np.float32) for layer in layers]


def require_fitted(columns: dict[str, list[Any]], name: str) -> None:
    """A column has what the fitted coefficients give on the features beside it, within 1e-5."""
    head, features = random_head(name), features_of(columns, name)
    expected, scores = head.logits(features) / head.temperature, head.scores(features)
    pooling, problem = FORMS[name][1], FORMS[name][3]
    rows = [word for row in columns[name] for word in row] if pooling == "word" else columns[name]
    assert len(rows) == (sum(map(len, WORDS)) if pooling == "word" else len(SENTENCES))
    if problem == "regression":
        np.testing.assert_allclose([row["value"] for row in rows], expected[:, 0], rtol=0, atol=1e-5, err_msg=name)
        return
    if pooling != "word":
        np.testing.assert_allclose([row["logits"] for row in rows], expected, rtol=0, atol=1e-5, err_msg=name)
    if problem == "multi_label":
        np.testing.assert_allclose([row["scores"] for row in rows], scores, rtol=0, atol=1e-5, err_msg=name)
        return
    assert [row["label"] for row in rows] == [LABELS[place] for place in scores.argmax(axis=1)], name
    np.testing.assert_allclose([row["score"] for row in rows], scores.max(axis=1), rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", FORMS)
def test_a_saved_head_gives_what_the_fitted_one_does(name: str, columns: dict[str, list[Any]]) -> None:
    require_fitted(columns, name)


def test_a_head_of_words_finds_entities_in_plain_text(saved: Path, trunk: Path, tmp_path: Path) -> None:
    """Every piece has the label of its own state; neighbours with the same one are an entity if it has letters."""
    heads = {
        "entities": {"task": "token-classification", "text": "text", "weights": str(saved / "tags")},
        "tokens": {
            "task": "embedding", "text": "text", "level": "token", "layer": 2, "normalize": False,
            "weights": str(trunk),
        },
    }  # fmt: skip
    output, _ = annotate_in_process(tmp_path, pa.table({"text": list(SENTENCES)}), heads, trunk, dtype="float32")
    head = random_head("tags")
    for row in output.to_pylist():
        labels = head.logits([np.array(row["tokens"], dtype=np.float32)]).argmax(axis=1)
        expected = [labels[0], *(label for before, label in pairwise(labels) if label != before)]
        found = [entity["entity"] for entity in row["entities"]]
        left = iter([LABELS[label] for label in expected])
        assert all(kind in left for kind in found)
        assert len(found) > 0.8 * len(expected)


def _of_rank(group: ShardGroup, directory: Path, saved: Path, trunk: Path) -> dict[str, list[Any]]:
    return annotated(directory / str(group.rank), saved, trunk, group)


def test_two_ranks_give_the_same(columns: dict[str, list[Any]], saved: Path, trunk: Path, tmp_path: Path) -> None:
    """Every form, by the features that the two ranks compute, and by those of one."""
    for found in run_on_ranks(2, _of_rank, tmp_path, saved, trunk):
        for name in FORMS:
            require_fitted(found, name)
            require_fitted({**found, f"features_of_{name}": columns[f"features_of_{name}"]}, name)


def test_states_that_are_not_finite_give_no_label(trunk: Path, saved: Path, tmp_path: Path) -> None:
    broken = tiny_checkpoint(tmp_path / "broken", heads=frozenset(), num_hidden_layers=NUM_LAYERS, seed=4)
    tensors = load_file(broken / "model.safetensors")
    tensors["roberta.embeddings.word_embeddings.weight"][4:] = torch.inf
    save_file(tensors, broken / "model.safetensors")
    table = pa.table({"text": list(SENTENCES), "second": PAIRED, "words": WORDS})
    heads = {name: options for name, options in sections(saved, broken).items() if name in FORMS}
    output, _ = annotate_in_process(tmp_path, table, heads, broken, dtype="float32")
    for name in FORMS:
        assert output.column(name).null_count == len(SENTENCES), name
    assert all("not finite" in error for error in output.column("error").to_pylist())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [1, 0]}, "must be a list of layers of the trunk, ascending from 0"),
        ({"layers": [4]}, r"to 3, found \[4\]"),
        ({"layers": []}, "must be a list of layers"),
        ({"layers": [True]}, "must be a list of layers"),
        ({"pooling": "last"}, "must be one of token, cls, mean, max, found 'last'"),
        ({"pooling": "max", "layers": [1, 2]}, "must be mean, cls or token for a mix of layers"),
        ({"dense_sizes": [0]}, "must be a list of widths"),
        ({"activation": "swish"}, "must be one of tanh, relu"),
        ({"temperature": 0}, "must be a finite number above 0, found 0"),
        ({"width": 3}, r"\.width is unknown"),
        ({"temperature": None}, "must be a finite number"),
    ],
)
def test_a_wrong_description_is_refused(
    changes: dict[str, Any], message: str, trunk: Path, saved: Path, tmp_path: Path
) -> None:
    config = XLMRobertaXLConfig.from_pretrained(saved / "mean")
    table: Any = config.feature_head  # type: ignore[attr-defined]
    config.copy(feature_head={**table, **changes}).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=rf"^heads\.x\.weights: .*config\.feature_head.*{message}"):
        resolve_heads(job_of(trunk, {"x": {"task": "text-classification", "weights": str(tmp_path)}}))


def test_a_head_fits_its_task_and_its_trunk(trunk: Path, saved: Path, tmp_path: Path) -> None:
    def refused(task: str, name: str, model: Path = trunk) -> str:
        job = job_of(model, {"x": {"task": task, "weights": str(saved / name)}})
        with pytest.raises(ConfigError) as caught:
            require_runnable(job, resolve_heads(job))
        return str(caught.value)

    assert "a head that was fitted on words, expected mean, cls or max" in refused("text-classification", "tags")
    assert "a head that was fitted on texts, expected token" in refused("token-classification", "mean")
    assert "has no pooler" in refused("multiple-choice", "mean")
    deeper = tiny_checkpoint(tmp_path / "deeper", heads=frozenset(), num_hidden_layers=2)
    assert "has num_hidden_layers 3, expected that of the trunk" in refused("text-classification", "mix", deeper)


def test_tensors_of_another_shape_are_refused(trunk: Path, saved: Path, tmp_path: Path) -> None:
    config = XLMRobertaXLConfig.from_pretrained(trunk)
    head = random_head("mean")
    save_head(tmp_path, head, LABELS, config)
    labelled = XLMRobertaXLConfig.from_pretrained(tmp_path)
    labelled.copy(id2label={0: "a", 1: "b"}).save_pretrained(tmp_path)
    job = job_of(trunk, {"x": {"task": "text-classification", "weights": str(tmp_path)}})
    with pytest.raises(ConfigError, match=r"^heads\.x\.weights: .*classifier\.out_proj\.weight must be \[2, 32\]"):
        require_runnable(job, resolve_heads(job))


def test_tags_on_the_last_layer_are_also_a_head_of_transformers(trunk: Path, tmp_path: Path) -> None:
    config = XLMRobertaXLConfig.from_pretrained(trunk)
    head = replace(random_head("tags"), layers=(NUM_LAYERS,))
    save_head(tmp_path, head, LABELS, config)
    labelled = XLMRobertaXLConfig.from_pretrained(tmp_path / TRANSFORMERS)
    assert labelled.architectures == ["XLMRobertaXLForTokenClassification"]
    model = XLMRobertaXLForTokenClassification(labelled).eval()
    missing, unexpected = model.load_state_dict(load_file(tmp_path / TRANSFORMERS / "model.safetensors"), False)
    assert not unexpected
    assert not any("classifier" in name for name in missing)
    states = torch.randn(5, SIZE, generator=torch.Generator().manual_seed(1))
    found = model.classifier(states).detach().numpy()
    np.testing.assert_allclose(found, head.logits([states.numpy()]) / head.temperature, atol=1e-5)


def test_a_hidden_layer_on_the_last_layer_is_also_a_head_of_transformers(trunk: Path, tmp_path: Path) -> None:
    config = XLMRobertaXLConfig.from_pretrained(trunk)
    head = replace(random_head("first"), layers=(NUM_LAYERS,))
    save_head(tmp_path, head, LABELS, config)
    labelled = XLMRobertaXLConfig.from_pretrained(tmp_path / TRANSFORMERS)
    assert labelled.architectures == ["XLMRobertaXLForSequenceClassification"]
    heads = {
        name: {"task": "text-classification", "text": "text", "weights": str(directory)}
        for name, directory in (("fitted", tmp_path), ("held", tmp_path / TRANSFORMERS))
    }
    output, _ = annotate_in_process(tmp_path, pa.table({"text": list(SENTENCES)}), heads, trunk, dtype="float32")
    for row in output.to_pylist():
        assert row["fitted"]["logits"] == pytest.approx(row["held"]["logits"], abs=1e-5)


@pytest.mark.parametrize("name", ["mean", "last", "mix", "mixed_tags"])
def test_other_heads_are_none_of_transformers(name: str, trunk: Path, saved: Path) -> None:
    assert as_transformers(random_head(name), XLMRobertaXLConfig.from_pretrained(trunk)) is None
    assert not (saved / name / TRANSFORMERS).exists()


def test_the_same_head_gives_the_same_bytes(trunk: Path, saved: Path, tmp_path: Path) -> None:
    save_head(tmp_path, random_head("mix"), LABELS, XLMRobertaXLConfig.from_pretrained(trunk))
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / file).read_bytes() == (saved / "mix" / file).read_bytes()

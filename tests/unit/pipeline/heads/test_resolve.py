import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, output_types, resolve_heads, sequence_specs
from pipeline.tasks.contract import class_labels
from pipeline.tasks.text_classification import problem_type
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint

TOPIC = {"task": "text-classification"}
VECTOR = {"task": "embedding"}
LOSS = {"task": "masked-lm-loss"}


def resolve_one(model: Path, options: dict[str, Any]) -> Head:
    [head] = resolve_heads(job_of(model, {"topic": options}))
    return head


def test_heads_come_in_order_with_their_sources_trunks_and_types(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model", id2label={0: "no", 1: "yes"})
    other = tiny_checkpoint(tmp_path / "other", num_labels=1)
    job = job_of(
        model,
        {
            "vector": VECTOR,
            "topic": TOPIC,
            "quality": {**TOPIC, "weights": str(other), "text_pair": "summary"},
            "loss": {**LOSS, "trunk": str(other), "weights": str(other), "text": "title"},
        },
        input={"text": "body"},
    )
    heads = resolve_heads(job)
    assert [head.name for head in heads] == ["vector", "topic", "quality", "loss"]
    read = [("text", ("body",)), ("text", ("body",)), ("pair", ("body", "summary")), ("text", ("title",))]
    assert [(head.sequence_spec.layout, head.sequence_spec.columns) for head in heads] == read
    assert [head.trunk for head in heads] == [str(model)] * 3 + [str(other)]
    assert sequence_specs(heads) == [heads[0].sequence_spec, heads[2].sequence_spec, heads[3].sequence_spec]
    assert class_labels(heads[1].config) == ["no", "yes"]
    # Some published configurations have numbers for names; the column is one of strings.
    assert class_labels(heads[1].config.copy(id2label={"0": 0, "1": 1.5})) == ["0", "1.5"]
    types = output_types(heads)
    assert list(types) == ["vector", "topic", "quality", "loss"]
    assert types["vector"] == pa.list_(pa.float32(), 32)
    assert types["quality"] == pa.struct([("value", pa.float32())])
    assert types["topic"].names == ["label", "score", "logits"]
    assert types["loss"].names == ["loss", "nll", "num_tokens"]


@pytest.mark.parametrize(
    ("stored", "num_labels", "expected"),
    [
        (None, 1, "regression"),
        (None, 3, "single_label_classification"),
        ("multi_label_classification", 3, "multi_label_classification"),
        ("multi_label_classification", 1, "multi_label_classification"),
        ("single_label_classification", 1, "single_label_classification"),
    ],
)
def test_the_problem_is_as_stored_or_as_the_labels_tell(
    stored: str | None, num_labels: int, expected: str, tmp_path: Path
) -> None:
    model = tiny_checkpoint(tmp_path, problem_type=stored, num_labels=num_labels)
    assert problem_type(resolve_one(model, TOPIC).config) == expected


def test_layers_are_those_of_the_trunk(tmp_path: Path) -> None:
    """A pooler of another depth does; layers are counted in its configuration."""
    model = tiny_checkpoint(tmp_path / "model")
    deeper = {"weights": str(tiny_checkpoint(tmp_path / "deeper", num_hidden_layers=3))}
    assert resolve_one(model, {**VECTOR, **deeper, "layer": -1}).trunk == str(model)
    with pytest.raises(ConfigError, match=r"^heads\.topic\.layer: found 5, expected 0 .* to 2 "):
        resolve_one(model, {**VECTOR, "layer": 5})
    message = r"^heads\.topic\.weights: .* has num_hidden_layers 3, expected that of the trunk .*, 2, whose layers"
    with pytest.raises(ConfigError, match=message):
        resolve_one(model, {**VECTOR, **deeper, "layer": 1})


@pytest.mark.parametrize("task", ["causal-lm-loss", "text-generation"])
def test_an_encoder_does_not_go_on_from_a_text(task: str, tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match=r"^heads\.topic: .* is an encoder .* needs a decoder"):
        resolve_one(model, {"task": task})


def test_a_decoder_does_not_read_both_ways(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path, is_decoder=True)
    with pytest.raises(ConfigError, match=r"^heads\.topic: .* is a decoder .* needs an encoder"):
        resolve_one(model, VECTOR)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({**TOPIC, "window": 600}, "window: found 600, expected at most 512"),
        ({**VECTOR, "dimensions": 33}, "dimensions: found 33"),
        ({**VECTOR, "stride": 256}, "stride: found 256, expected less than half of the window of 512"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(
    options: dict[str, Any], field: str, tmp_path: Path
) -> None:
    model = tiny_checkpoint(tmp_path)
    with pytest.raises(ConfigError) as caught:
        resolve_one(model, options)
    assert f"heads.topic.{field}" in str(caught.value)


def test_pooling_without_weights_needs_none(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path, heads=frozenset())
    assert resolve_one(model, VECTOR).options.task == "embedding"


def test_a_head_of_another_width_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    wide = tiny_checkpoint(tmp_path / "wide", hidden_size=40)
    with pytest.raises(ConfigError, match=r"heads\.topic\.weights: .* hidden_size 40, expected .* 32"):
        resolve_one(model, {**TOPIC, "weights": str(wide)})


def test_regression_onto_several_values_is_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path, problem_type="regression", num_labels=3)
    with pytest.raises(ConfigError, match=r"^model\.path: .*'regression' with 3 labels, expected one"):
        resolve_one(model, TOPIC)
    assert resolve_one(model, VECTOR)


def test_labels_with_gaps_are_refused(tmp_path: Path) -> None:
    wrong = tiny_checkpoint(tmp_path / "wrong", id2label={1: "a", 2: "b"})
    with pytest.raises(ConfigError, match=r"^model\.path: .*ids \[1, 2\], expected 0 to 1"):
        resolve_one(wrong, TOPIC)
    # Named as the head's weights, they are that field's fault.
    model = tiny_checkpoint(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"^heads\.topic\.weights: .*ids \[1, 2\], expected 0 to 1"):
        resolve_one(model, {**TOPIC, "weights": str(wrong)})


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "model.path"),
        ({"weights": "WEIGHTS"}, "heads.topic.weights"),
        ({"trunk": "TRUNK"}, "heads.topic.trunk"),
    ],
)
@pytest.mark.parametrize("damage", ["absent", "no JSON", "another model", "no padding id"])
def test_a_damaged_config_is_refused_under_the_field_that_names_it(
    options: dict[str, str], field: str, damage: str, tmp_path: Path
) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    damaged = tiny_checkpoint(tmp_path / "damaged")
    match damage:
        case "absent":
            (damaged / "config.json").unlink()
        case "no JSON":
            (damaged / "config.json").write_text("{", encoding="utf-8")
        case "another model":
            (damaged / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
        case "no padding id":
            values = json.loads((damaged / "config.json").read_text(encoding="utf-8"))
            (damaged / "config.json").write_text(json.dumps(values | {"pad_token_id": None}), encoding="utf-8")
    options = {key: str(damaged) for key in options}
    with pytest.raises(ConfigError) as caught:
        resolve_one(model if options else damaged, {**TOPIC, **options})
    assert str(caught.value).startswith(f"{field}: ")
    assert str(damaged / "config.json") in str(caught.value)

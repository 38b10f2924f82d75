"""What config.json says of a converted COMET checkpoint: read as it was written, and nothing else."""

import json
from typing import Any

import pytest

from model import XLMRobertaXLConfig
from model.configuration.comet import CometOptions
from tests.comet_checkpoints import METRICS, converted_options
from tests.unit.pipeline.compute_fixtures import tiny_config


@pytest.mark.parametrize("kind", METRICS)
def test_it_goes_through_config_json(kind: str) -> None:
    options = CometOptions.from_dict(converted_options(kind))
    text = tiny_config(comet=options.to_dict()).to_json_string()
    read: Any = XLMRobertaXLConfig.from_dict(json.loads(text))
    assert CometOptions.from_dict(read.comet) == options


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"metric": "ranking_metric"}, "metric"),
        ({"with_reference": 1}, "with_reference"),
        ({"sentence_layer": -1}, "sentence_layer"),
        ({"sentence_layer": True}, "sentence_layer"),
        ({"hidden_sizes": [0]}, "hidden_sizes"),
        ({"hidden_sizes": 24}, "hidden_sizes"),
        ({"hidden_sizes": []}, "hidden_sizes"),
        ({"activation": "Softmax"}, "activation"),
        ({"activation": None}, "activation"),
        ({"word_layer": "last"}, "word_layer"),
        ({"severities": ["O"]}, "severities"),
        ({"severities": "minor"}, "severities"),
        ({"more": 1}, "more"),
    ],
)
def test_other_values_are_refused_by_their_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=rf"^comet\.{key} has a value that no converted COMET checkpoint has"):
        CometOptions.from_dict(converted_options("xcomet") | changes)


def test_missing_keys_and_other_types_are_refused() -> None:
    values = converted_options("kiwi")
    del values["is_normalized"]
    with pytest.raises(ValueError, match=r"^comet\.is_normalized has a value"):
        CometOptions.from_dict(values)
    with pytest.raises(ValueError, match="comet must be a map, found 3"):
        CometOptions.from_dict(3)

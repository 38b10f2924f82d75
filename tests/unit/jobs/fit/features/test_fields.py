"""Messages about the job that computes features, with the fields of FIT.toml."""

from typing import Any

import pytest

from jobs.fit.features.fields import with_own_fields
from jobs.fit.settings import FitSettings


def settings(**shared: Any) -> FitSettings:
    heads: dict[str, Any] = {
        "topic": {"label": "topic"},
        "tags": {"label": "topic", "text": "title"},
        "words": {"label": "tags", "task": "token-classification", "words": "tokens"},
    }
    return FitSettings.model_validate(
        {
            "model": {"path": "m"},
            "input": {"path": "x", "text": "body", **shared},
            "output": {"path": "out"},
            "heads": heads,
        }
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "input.columns: a.parquet: column 'topic' is missing; the file has: body",
            "heads.topic.label, heads.tags.label: a.parquet: column 'topic' is missing; the file has: body",
        ),
        (
            "heads.features_0.text, input.columns: a: column 'body' is missing; x",
            "input.group, input.text: a: column 'body' is missing; x",
        ),
        (
            "heads.features_1.text: a: column 'title' has type int",
            "heads.tags.text: a: column 'title' has type int",
        ),
        (
            "heads.features_2.words: a: column 'tokens' has type x",
            "heads.words.words: a: column 'tokens' has type x",
        ),
        (
            "heads.features_0.window, heads.features_2.stride: found 1",
            "features.window, features.stride: found 1",
        ),
        ("input.columns: a: column 'other' is missing; x", "input.columns: a: column 'other' is missing; x"),
        ("model.path: column 'topic' is missing", "model.path: column 'topic' is missing"),
        (
            "input.columns: a: column 'topic' is missing; x\ninput.columns: b: column 'tags' is missing; x",
            "heads.topic.label, heads.tags.label: a: column 'topic' is missing; x\n"
            "heads.words.label: b: column 'tags' is missing; x",
        ),
    ],
)
def test_fields_are_those_of_the_settings(message: str, expected: str) -> None:
    assert with_own_fields(message, settings(group="body")) == expected

"""FIT.toml: defaults, overrides, and messages that name field, found, expected and remedy."""

from pathlib import Path

import pytest

from jobs.fit.features.feature_source import FeatureSource, source_of, sources_of
from jobs.fit.settings import FitSettings, columns_of, load_settings, shown_settings
from pipeline.errors import ConfigError

PLAIN = """
[model]
path = "m"
[input]
path = "rows.parquet"
language = "lang"
[output]
path = "out"
[heads.topic]
label = "topic"
"""


def load(tmp_path: Path, text: str = PLAIN, *overrides: str) -> FitSettings:
    file = tmp_path / "fit.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, overrides)


def refused(tmp_path: Path, text: str = PLAIN, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, *overrides)
    return str(caught.value)


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.input.path == ("rows.parquet",)
    assert found.features.dtype == "float16"
    assert found.heads["topic"].min_rows == 5
    assert columns_of(found) == ["lang", "topic"]
    assert sources_of(found) == (FeatureSource("mean", "text"),)


def test_values_are_overridden(tmp_path: Path) -> None:
    found = load(tmp_path, PLAIN, "features.layers=[1, 2]", "heads.topic.pooling=cls", "output.path=2026")
    assert found.features.layers == (1, 2)
    assert found.heads["topic"].pooling == "cls"
    assert found.output.path == "2026"


def test_heads_that_read_the_same_share_a_source(tmp_path: Path) -> None:
    more = """
[heads.mood]
label = "mood"
[heads.title]
label = "topic"
text = "title"
[heads.tags]
task = "token-classification"
label = "tags"
words = "tokens"
"""
    found = load(tmp_path, PLAIN + more)
    sources = sources_of(found)
    assert [source.columns for source in sources] == [("text",), ("title",), ("tokens",)]
    assert source_of(found, found.heads["mood"]) == source_of(found, found.heads["topic"])
    assert sources[2].head == {"words": "tokens"}
    assert sources[0].head == {"text": "text", "pooling": "mean"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("heads.topic.lable=x", "(from --set heads.topic.lable=x): unknown key; did you mean 'label'"),
        ("features.dtype=int8", 'features.dtype (from --set features.dtype=int8): found "int8", expected'),
        ("heads.topic.min_rows=-1", "heads.topic.min_rows"),
        ("input.features=elsewhere", "input.path: expected this or input.features, and not both"),
        ("heads.topic.task=token-classification", "heads.topic.words: is missing, expected the list column"),
        ("heads.features.label=x", "heads.features: the name of a head cannot be that of a folder"),
        ("model.dtypo=x", "model.dtypo (from --set model.dtypo=x): unknown key; did you mean 'dtype'"),
        ("output.path=s3://bucket/x", "output.path"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, PLAIN, override)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    text = PLAIN.replace('label = "topic"', "")
    assert "heads.topic.label: is missing, expected the column with the labels" in refused(tmp_path, text)
    assert "heads: expected a table [heads.NAME]" in refused(tmp_path, PLAIN.partition("[heads")[0])
    assert "input.path: expected this or input.features" in refused(
        tmp_path, PLAIN.replace('path = "rows', 'text = "')
    )


def test_all_settings_are_shown() -> None:
    shown = shown_settings()
    for name in ("tensor_parallel_size", "min_rows", "probe_rows", "group", "seed"):
        assert name in shown

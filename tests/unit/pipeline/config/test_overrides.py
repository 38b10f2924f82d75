from pathlib import Path
from typing import Any

import pytest

from pipeline.config.overrides import parse_override, source_of
from pipeline.errors import ConfigError
from tests.unit.pipeline.config.test_job import MINIMAL, load
from tests.unit.pipeline.config.test_messages import problems


def value(tmp_path: Path, key: str, text: str, *others: str) -> Any:
    """What a job has at a dotted key that `--set KEY=TEXT` sets."""
    found: Any = load(tmp_path, MINIMAL, f"{key}={text}", *others)
    for name in key.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30",
        "2026-11-30T07:00:00",
        "07:00:00",
        "2026",
        "1_000",
        "0x10",
        "1.5",
        "inf",
        "true",
        "2026#1",
        "a=b",
    ],
)
def test_a_string_may_look_like_another_value(tmp_path: Path, text: str) -> None:
    assert value(tmp_path, "output.path", text) == text
    assert value(tmp_path, "heads.vector.text", text) == text
    assert value(tmp_path, "input.columns", text) == (text,)
    assert value(tmp_path, "input.route", text) == text


def test_values_of_other_types_are_read_as_toml(tmp_path: Path) -> None:
    assert value(tmp_path, "model.token_budget", "1_024") == 1024
    assert value(tmp_path, "model.stall_timeout_s", "5") == 5.0
    assert value(tmp_path, "heads.vector.normalize", "false") is False
    assert value(tmp_path, "input.hive", "true") is True
    assert value(tmp_path, "input.hive", "auto") == "auto"
    assert value(tmp_path, "input.path", '["2026", "b"]') == ("2026", "b")
    assert value(tmp_path, "output.path", '"2026" # of this year') == "2026"


def test_blanks_around_a_value_are_no_part_of_it(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "output.path = annotated ").output.path == "annotated"
    assert load(tmp_path, MINIMAL, 'output.path = " annotated"').output.path == " annotated"


def test_the_task_of_a_head_may_be_set_after_its_options(tmp_path: Path) -> None:
    heads = load(tmp_path, MINIMAL, "heads.x.text=2026", "heads.x.weights=1", "heads.x.task=embedding").heads
    assert (heads["x"].weights, heads["x"].text_columns) == ("1", ("2026",))


def test_the_last_of_two_overrides_wins(tmp_path: Path) -> None:
    assert value(tmp_path, "output.path", "a", "output.path=2026") == "2026"
    assert value(tmp_path, "output.path", "2026", "output.path=a") == "a"
    assert value(tmp_path, "output.path", "2026", "output={path = 'b'}") == "b"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("input.columns=[id,lang]", "Invalid value"),
        ('input.columns=["id", "lang"', "Unclosed array"),
        ("input.path=[ab]*.parquet", "Invalid value"),
        ('output.path="annotated', "Unterminated string"),
        ("output.path='annotated", 'Expected "\'"'),
        ('output.path="a" "b"', "Expected newline"),
        ("heads.x={task: embedding}", "Expected '='"),
    ],
)
def test_a_broken_string_array_or_table_is_no_string(tmp_path: Path, override: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL, override)
    message = str(caught.value)
    assert message.startswith(f"--set {override}: expected a TOML string, array or table, ")
    assert f"found none: {reason}" in message
    assert message.endswith(
        """; quote every string in it, and the whole for the shell, as in --set 'input.columns=["id", "lang"]'"""
    )
    assert "\n" not in message
    key, _, text = override.partition("=")
    hint = f"""; for the string itself write --set '{key}="{text}"'; quote"""
    assert (hint in message) == ("'" not in text and '"' not in text)


def test_a_value_with_line_breaks_sets_one_key(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "output.path=1\nother = 2").output.path == "1\nother = 2"


def test_a_quoted_name_may_hold_a_sign_of_equality(tmp_path: Path) -> None:
    heads = load(tmp_path, MINIMAL, 'heads."a=b".task=embedding', 'heads."a=b".text="c=d"').heads
    assert heads["a=b"].text_columns == ("c=d",)


def test_a_table_that_is_set_is_named_with_what_is_wrong_in_it(tmp_path: Path) -> None:
    override = 'heads.x={task = "embedding", pooling = "median"}'
    [line] = problems(tmp_path, MINIMAL, override)
    assert line.startswith(f'heads.x.pooling (from --set {override}): found "median" (string), expected ')
    assert source_of("heads.y.pooling", {"heads.x": parse_override(override)}) == ""


def test_a_head_that_is_misspelled_is_no_new_one(tmp_path: Path) -> None:
    [line] = problems(tmp_path, MINIMAL, "heads.vectr.pooling=cls")
    assert line.startswith("heads.vectr.task: is missing, expected one of ")
    assert line.endswith('; write for example task = "embedding", or did you mean heads.vector?')
    [line] = problems(tmp_path, MINIMAL, "heads.zzz.pooling=cls")
    assert line.endswith('; write for example task = "embedding"')

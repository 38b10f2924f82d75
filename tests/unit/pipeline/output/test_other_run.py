import pytest

from pipeline.errors import ConfigError
from pipeline.output.other_run import refuse_other_run

UPGRADE = " (pipeline/CHANGES.md lists what an upgrade changes)"
IDENTITY = {
    "code": "0.1",
    "heads": '["topic"]',
    "model.dtype": "auto",
    "model.device": "auto",
    **{f"heads.topic.{key}": "1" for key in ("task", "window", "stride", "weights", "trunk")},
    **{f"heads.{head}.task": '"embedding"' for head in ("h0", "h1", "h2", "h3", "h4", "h5")},
}


def differences(**changes: str | None) -> str:
    """What is said to differ; dots in keys are written as two underscores, None takes a key away."""
    values: dict[str, str | None] = {**IDENTITY, **{key.replace("__", "."): v for key, v in changes.items()}}
    with pytest.raises(ConfigError) as caught:
        refuse_other_run("out", IDENTITY, {key: value for key, value in values.items() if value is not None})
    message = str(caught.value)
    begin, end = (
        "output.path: out belongs to another run, which differs in ",
        "; choose another output.path, or add ",
    )
    assert message.startswith(begin)
    assert "\n" not in message
    return message.removeprefix(begin).partition(end)[0].removesuffix(UPGRADE)


def test_equal_ones_pass() -> None:
    refuse_other_run("out", IDENTITY, dict(reversed(IDENTITY.items())))


def test_one_or_two_fields_have_their_values() -> None:
    assert differences(code="0.2") == "code (found 0.1 there, expected 0.2 as in this job)"
    assert differences(heads__topic__new="5", model__dtype=None) == (
        "model.dtype (found auto there, expected nothing as in this job), "
        "heads.topic.new (found nothing there, expected 5 as in this job)"
    )
    assert differences(code="x" * 200).endswith(f"expected {'x' * 80}... as in this job)")


@pytest.mark.parametrize("changes", [{"code": "0.2"}, dict.fromkeys(IDENTITY, "2")], ids=["alone", "among others"])
def test_an_upgrade_points_to_the_list_of_changes(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_other_run("out", IDENTITY, IDENTITY | changes)
    assert f"{UPGRADE}; choose another output.path" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        refuse_other_run("out", IDENTITY, IDENTITY | changes | {"code": "0.1", "heads": "none"})
    assert UPGRADE not in str(caught.value)


def test_more_are_told_by_their_sections() -> None:
    assert differences(code="0.2", model__dtype="int8", model__device="cpu") == "code, model (dtype, device)"
    topic = dict.fromkeys((key for key in IDENTITY if key.startswith("heads.topic.")), "2")
    found = differences(heads='["h"]', heads__new__task="1", heads__h0__task=None, **topic)
    topic_fields = "task, window, stride and 2 more"
    assert found == f"heads, heads.topic ({topic_fields}), heads.h0 (only there), heads.new (only in this job)"


def test_many_are_one_line_that_can_be_read() -> None:
    found = differences(**dict.fromkeys(IDENTITY, "x"))
    assert found == "code, heads, model (dtype, device), heads.topic (task, window, stride and 2 more) and 6 more"

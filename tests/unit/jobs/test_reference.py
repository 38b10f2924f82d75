"""The reference of the settings: the committed page and schema are those of the code, and say enough."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from jobs.reference import main, schema_text, section_class, settings_page
from pipeline.config.job import JobConfig
from pipeline.config.messages import expected_value
from pipeline.tasks.all_tasks import HEAD_SECTIONS

ROOT = Path(__file__).resolve().parents[3]


class Setting(NamedTuple):
    """A setting or an option of a task."""

    section: type[BaseModel]
    key: str
    field: FieldInfo


SECTIONS = {name: found for name, f in JobConfig.model_fields.items() if (found := section_class(f)) is not None}
SETTINGS = {
    f"{name}.{key}": Setting(section, key, field)
    for name, section in {**SECTIONS, **HEAD_SECTIONS}.items()
    for key, field in section.model_fields.items()
    if key != "task"
}


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "pipeline/SETTINGS.md").read_text(encoding="utf-8") == settings_page(), (
        "run python -m jobs.reference > pipeline/SETTINGS.md"
    )


def test_the_schema_is_that_of_the_code() -> None:
    assert (ROOT / "jobs/configs/job.schema.json").read_text(encoding="utf-8") == schema_text(), (
        "run python -m jobs.reference --schema > jobs/configs/job.schema.json"
    )


def test_the_command_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == settings_page()
    assert main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["model", "input", "output", "heads"]


def test_every_section_task_and_option_is_there() -> None:
    page = settings_page()
    headings = re.findall(r"^## `([^`]+)`$", page, re.MULTILINE)
    assert headings == [*(f"[{name}]" for name in SECTIONS), "[heads.NAME]", *HEAD_SECTIONS]
    for name, setting in SETTINGS.items():
        key = name if setting.section in SECTIONS.values() else setting.key
        assert f"| `{key}` |" in page, name


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_explained(name: str) -> None:
    section, key, field = SETTINGS[name]
    assert field.description
    assert field.examples
    if field.default in (None, ""):
        assert "Without it" in field.description, "says what holds where it is not set"
    expected = expected_value(field)
    assert "Without it" not in expected
    assert not expected[0].isupper(), "goes on a sentence of a message"
    with pytest.raises(ValidationError) as errors:
        section.model_validate({"unknown": 0, key: field.examples[0]})
    assert all(details["loc"][0] != key for details in errors.value.errors()), "the example is refused"

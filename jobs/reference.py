"""Print the reference of all settings of a job file: `python -m jobs.reference [--schema]`.

It is made of the descriptions, defaults and examples in the configuration's classes. `pipeline/SETTINGS.md` is
this page, and `jobs/configs/job.schema.json` the schema that `--schema` prints.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.terminal.arguments import add_version
from jobs.terminal.streams import accept_any_text
from pipeline.config.job import JobConfig
from pipeline.exit_codes import DONE
from pipeline.tasks.all_tasks import HEAD_SECTIONS
from pipeline.tasks.sections import TextHeadSection

NONE = "—"
_INTRODUCTION = f"""\
# Settings

<!-- Made by `python -m jobs.reference > pipeline/SETTINGS.md`. To change it, change descriptions in the code. -->

A job file is TOML. It has the tables below, and one table `[heads.NAME]` for each head; `NAME` is the name of
its column in the output. Unknown keys are refused. Where the default is {NONE}, the setting is not set, and its
meaning says what happens then. Trunk, head, fragment, part, rank and shard group are explained in
[README.md](README.md). Complete jobs are in [jobs/configs/](../jobs/configs/README.md), with a JSON schema for
editors.

`--set KEY=VALUE` on the command line replaces a value, as in `--set model.replicas=2`. The value is read as TOML
if its key takes the result, otherwise as a string: `output.path=2026-11-30` names a folder. Quote arrays for the
shell: `--set 'input.columns=["id", "lang"]'`.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    parser.add_argument("--schema", action="store_true", help="print a JSON schema of the job file instead")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    print(schema_text() if parse_arguments(arguments).schema else settings_page(), end="")
    return DONE


def settings_page() -> str:
    """The reference of all settings, in Markdown."""
    return "\n".join([_INTRODUCTION, *_sections(), *_heads()])


def _sections() -> Iterator[str]:
    for name, field in JobConfig.model_fields.items():
        section = section_class(field)
        if section is not None:
            yield _chapter(f"`[{name}]`", _docstring(section).rpartition("]`: ")[2])
            yield _table("key", {f"{name}.{key}": option for key, option in section.model_fields.items()})


def section_class(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a table with fixed keys; None for `[heads]`. An optional table is a union with None."""
    candidates = (field.annotation, *get_args(field.annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _heads() -> Iterator[str]:
    common = TextHeadSection.model_fields
    yield _chapter("`[heads.NAME]`", "`task` is required, and names one of the chapters below. Most tasks share:")
    yield _table("option", common)
    for task, section in HEAD_SECTIONS.items():
        own = {key: f for key, f in section.model_fields.items() if key != "task" and not _is_common(key, f)}
        shared = [f"`{key}`" for key in common if key not in own and key in section.model_fields]
        yield _chapter(f"`{task}`", _docstring(section))
        yield f"Shared options: {', '.join(shared)}.\n"
        yield _table("option", own) if own else "No others.\n"


def _is_common(key: str, field: FieldInfo) -> bool:
    common = TextHeadSection.model_fields.get(key)
    return common is not None and common.description == field.description


def _docstring(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").partition("\n")[0]


def _chapter(title: str, sentence: str) -> str:
    return f"## {title}\n\n{sentence[:1].upper()}{sentence[1:]}\n"


def _table(heading: str, fields: Mapping[str, FieldInfo]) -> str:
    lines = [f"| {heading} | default | meaning | example |", "|---|---|---|---|"]
    for key, field in fields.items():
        cells = (f"`{key}`", _default(field), _meaning(field), _code((field.examples or [None])[0]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return NONE if field.default in (None, "") else _code(field.default)


def _code(value: object) -> str:
    """A value as in TOML, as code."""
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")


def _meaning(field: FieldInfo) -> str:
    """The description, a sentence each, with what is typed as code."""
    text = (field.description or "").rstrip(".")
    typed = r'(?:[\w.]+ = )?"[^"]*"|\b(?:true|false)\b|\w+ = \d+'
    text = re.sub(typed, lambda match: f"`{match[0]}`", text).replace("|", "\\|")
    return f"{text[:1].upper()}{text[1:]}."


def schema_text() -> str:
    """A JSON schema (draft 7) of the job file."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **_plain(JobConfig.model_json_schema())}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _plain(schema: Any) -> Any:
    """A schema without what editors have no use for: titles, and null, which TOML lacks."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _plain(value)
        for key, value in schema.items()
        if key != "discriminator"
        and not (key == "title" and isinstance(value, str))
        and not (key == "default" and value in (None, ""))
    }
    alternatives = kept.get("anyOf")
    if alternatives is not None and len(alternatives) == 1:
        del kept["anyOf"]
        return alternatives[0] | kept
    return kept


if __name__ == "__main__":
    sys.exit(main())

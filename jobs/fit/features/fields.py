"""The fields of FIT.toml in messages about the job that computes features, which has other fields."""

import re

from jobs.fit.features.feature_source import source_of, sources_of
from jobs.fit.settings import FitSettings

_FIELD = r"(?:heads\.features_\d+\.\w+|input\.columns)"
_COLUMN = re.compile(rf"^({_FIELD}(?:, {_FIELD})*): (.*?column '([^']*)' .*)$", re.MULTILINE)
_OPTION = re.compile(r"\bheads\.features_\d+\.(layers|window|stride|truncate)\b")


def with_own_fields(message: str, settings: FitSettings) -> str:
    """The message, with fields that its reader has written in place of those of the job."""
    message = _OPTION.sub(r"features.\1", message)
    return _COLUMN.sub(lambda found: f"{', '.join(_naming(settings, found[3])) or found[1]}: {found[2]}", message)


def _naming(settings: FitSettings, column: str) -> list[str]:
    """The fields that name a column."""
    shared = settings.input
    named = {f"input.{name}": getattr(shared, name) for name in ("split", "group", "language")}
    sources = sources_of(settings)
    for option in ("text", "text_pair", "words"):
        if any(getattr(source, option) == getattr(shared, option) for source in sources):
            named[f"input.{option}"] = getattr(shared, option)
    for name, head in settings.heads.items():
        source = source_of(settings, head)
        named[f"heads.{name}.label"] = head.label
        for option in ("text", "text_pair", "words"):
            if getattr(head, option) is not None:
                named[f"heads.{name}.{option}"] = getattr(source, option)
    return [field for field, value in named.items() if value == column]

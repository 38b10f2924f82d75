"""Refuse an output of another run, with a message that says how the identities differ."""

from collections.abc import Mapping, Sequence

from pipeline.errors import ConfigError
from pipeline.storage.printable import shortened

_MAX_VALUES, _MAX_SECTIONS, _MAX_FIELDS = 2, 4, 3
_MAX_SHOWN_SIZE = 80


def refuse_other_run(root: str, found: Mapping[str, str], identity: Mapping[str, str]) -> None:
    """Raise ConfigError if two identities differ: with values for one or two fields, else with their sections."""
    names = [name for name in dict.fromkeys([*found, *identity]) if found.get(name) != identity.get(name)]
    if not names:
        return
    if len(names) <= _MAX_VALUES:
        differences = ", ".join(_values(name, found, identity) for name in names)
    else:
        differences = _sections(names, found, identity)
    upgrade = " (pipeline/CHANGES.md lists what an upgrade changes)" if "code" in names else ""
    raise ConfigError(
        f"output.path: {root} belongs to another run, which differs in {differences}{upgrade}; choose another "
        "output.path, or add --restart to compute everything again: the existing output is kept until the new one "
        "is complete"
    )


def _values(name: str, found: Mapping[str, str], identity: Mapping[str, str]) -> str:
    there, here = (_shown(values.get(name)) for values in (found, identity))
    return f"{name} (found {there} there, expected {here} as in this job)"


def _sections(names: Sequence[str], found: Mapping[str, str], identity: Mapping[str, str]) -> str:
    """The sections that differ, each with its first fields: `model (dtype), heads.topic (only in this job)`."""
    fields: dict[str, list[str]] = {}
    for name in names:
        section, _, field = name.rpartition(".")
        if section:
            fields.setdefault(section, []).append(field)
        else:
            fields[name] = []
    there, here = ({name.rpartition(".")[0] for name in values} for values in (found, identity))
    shown = []
    for section, its_fields in fields.items():
        note = shortened(its_fields, _MAX_FIELDS)
        if its_fields and (section in there) != (section in here):
            note = "only in this job" if section in here else "only there"
        shown.append(f"{section} ({note})" if note else section)
    return shortened(shown, _MAX_SECTIONS)


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= _MAX_SHOWN_SIZE else f"{value[:_MAX_SHOWN_SIZE]}..."

"""A split that is given by a column."""

from collections.abc import Hashable, Sequence
from typing import Any

from jobs.fit.labels.splits import PARTS, hashed
from pipeline.errors import InputError

_SYNONYMS = {"train": "fit", "validation": "choose", "dev": "choose", "valid": "choose", "val": "choose"}
_TENTH = 0.1


def given_parts(values: Sequence[Any], groups: Sequence[Hashable], seed: int) -> list[str]:
    """The part of each row; "" for rows without one, which are left out.

    Parts that nobody names are drawn by groups: half of "choose" calibrates, or, without "choose" too, a tenth of
    "fit" each.

    Raises InputError for another value, or where nobody names "fit" or "test".
    """
    parts = named_parts(values)
    has_choose, has_calibrate = "choose" in parts, "calibrate" in parts
    if has_choose and has_calibrate:
        return parts
    return [
        _drawn(part, hashed(group, seed), has_choose, has_calibrate)
        for part, group in zip(parts, groups, strict=True)
    ]


def named_parts(values: Sequence[Any]) -> list[str]:
    """The part that each value names; "" for null. Raises InputError like `given_parts`."""
    parts = ["" if value is None else _SYNONYMS.get(str(value), str(value)) for value in values]
    for found in sorted(set(parts) - {*PARTS, ""}):
        raise InputError(
            f"input.split: found the value {found!r}, expected {', '.join(PARTS)}, train, validation or null; "
            "correct the column, or leave the setting out"
        )
    for needed in ("fit", "test"):
        if needed not in parts:
            raise InputError(
                f"input.split: found no row of {needed!r}, expected some; correct the column, or leave the "
                "setting out, which draws all parts"
            )
    return parts


def _drawn(part: str, place: float, has_choose: bool, has_calibrate: bool) -> str:
    if part == "choose" and not has_calibrate:
        return "calibrate" if place < 0.5 else "choose"
    if part != "fit" or has_choose:
        return part
    if place < _TENTH:
        return "choose"
    return "calibrate" if place < 2 * _TENTH and not has_calibrate else "fit"

"""Text for people: characters that cannot be shown, long texts, numbers."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from jobs.report.page import Cell

Data = TypeVar("Data")
NOTHING = "–"
"""Stands where there is no value."""
NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Control characters, lone surrogates and noncharacters, which HTML, SVG or UTF-8 cannot hold."""


def readable(text: str) -> str:
    """The text with the replacement character for each one that cannot be shown; line ends are newlines."""
    return NOT_SHOWN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def plain_data(data: Data) -> Data:
    """A copy of dataclasses, sequences and mappings with readable strings, and NumPy's numbers as Python's."""
    copy: Any = data
    if hasattr(data, "tolist"):
        copy = data.tolist()
    elif isinstance(data, str):
        copy = readable(data)
    elif is_dataclass(data) and not isinstance(data, type):
        copy = replace(data, **{f.name: plain_data(getattr(data, f.name)) for f in fields(data)})
    elif isinstance(data, Mapping):
        copy = {plain_data(key): plain_data(value) for key, value in data.items()}
    elif isinstance(data, Sequence):
        copy = tuple(plain_data(item) for item in data)
    return copy


def shortened(text: str, max_chars: int) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"


def text_width(text: str, font_px: float) -> float:
    """About how wide a text is in pixels, on the wide side, in any sans-serif font."""
    return sum(map(_char_width, text)) * font_px


def _char_width(char: str) -> float:
    if unicodedata.combining(char):
        return 0.2
    if char == "\ufffd" or unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 0.85 if char in "mwMW@%—…" else 0.7 if char.isupper() else 0.62


def fitted(text: str, font_px: float, width_px: float) -> str:
    """The text on one line, or as much of its beginning as fits into the width, with an ellipsis."""
    line = " ".join(text.split())
    if text_width(line, font_px) <= width_px:
        return line
    end = min(len(line), int(width_px / font_px / 0.2) + 1)  # no character is narrower
    while end > 0 and text_width(line[:end] + "…", font_px) > width_px:
        end -= 1
    return line[:end].rstrip() + "…"


def number(value: Cell, decimals: int = 1) -> str:
    """A cell as text: thousands are set apart, floats have that many decimals."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{round(value, decimals) + 0.0:,.{decimals}f}" if math.isfinite(value) else str(value)
    return f"{value:,}"


def decimal(value: float | None, decimals: int) -> str:
    """A figure of a chart as text: all of them have that many decimals, whole numbers too."""
    return number(None if value is None else float(value), decimals)


def short_number(value: float, digits: int = 3) -> str:
    """A number in few characters, with so many significant digits: 950, 1.5k, 12k, 3.4M, 0.25."""
    for unit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * unit:
            return f"{_significant(value / unit, digits)}{suffix}"
    return _significant(value, digits)


def _significant(value: float, digits: int) -> str:
    """Rounded to significant digits, but never in powers of ten."""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def limit(value: float) -> str:
    """The end of a bin: whole numbers in full as far as they are short."""
    if not math.isfinite(value):
        return "∞"
    return f"{int(value):,}" if value == int(value) and abs(value) < 10_000 else short_number(value)


def percent(share: float) -> str:
    """A share as a whole percentage; 0 and 100 only for exactly none and all."""
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def finite(value: float | None) -> float | None:
    """The value as a Python float; None if it is none or not finite, which no axis can show."""
    return None if value is None or not math.isfinite(value) else float(value)

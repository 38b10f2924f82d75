"""What differs between the scores and spans of this package and those of COMET."""

import unicodedata
from collections.abc import Mapping
from typing import Any

Rows = list[dict[str, Any]]
TOLERANCE = 1e-4


def differences_of(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between the scores and spans of a row."""
    if ours["error"] is not None or ours["quality"] is None:
        return [f"no scores: {ours['error']}"]
    quality = ours["quality"]
    if quality.keys() != theirs.keys():
        return [f"fields {list(quality)} for {list(theirs)}"]
    found = [
        f"{name}: {quality[name]} for {value}"
        for name, value in theirs.items()
        if name != "spans" and not abs(quality[name] - value) < TOLERANCE
    ]
    text = ours["translation"]
    spans = [exact(span, text) for span in theirs.get("spans", ())]
    return found + span_differences(quality.get("spans", []), spans, text)


def exact(span: Mapping[str, Any], text: str) -> dict[str, Any]:
    """COMET's span in the words of this package: a piece begins at its word, not at the blank before it.

    A piece that is nothing but the beginning of a word has the blank in COMET and the first character here, as in
    the tokenizer that is released with XL.
    """
    start, end = span["start"], span["end"]
    if end > start and is_blank(text[end - 1]):
        end += 1
    while start < end and is_blank(text[start]):
        start += 1
    return {"severity": span["severity"], "start": start, "end": end, "score": span["confidence"]}


def is_blank(character: str) -> bool:
    """Also characters such as the zero-width non-joiner, which become blanks before a text is cut into pieces."""
    return character.isspace() or unicodedata.category(character) == "Cf"


def span_differences(found: Rows, expected: Rows, text: str) -> list[str]:
    """What differs between the spans of a row."""
    if len(found) != len(expected):
        return [f"{len(found)} spans for {len(expected)}"]
    differences = []
    for ours, theirs in zip(found, expected, strict=True):
        same = all(ours[name] == theirs[name] for name in ("severity", "start", "end"))
        if not (same and abs(ours["score"] - theirs["score"]) < TOLERANCE):
            differences.append(f"span {ours} for {theirs}")
        if ours["text"] != text[ours["start"] : ours["end"]]:
            differences.append(f"span {ours} is not the slice")
    return differences

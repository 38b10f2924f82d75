"""Mutations of structured values, of their text, and of bytes; all are drawn from a `random.Random`."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

# Stands for a value that is nested too deeply for `json.dumps`.
_DEEP = "<nested deeply>"
_DEEP_LIST = "[" * 50_000 + "]" * 50_000

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 0.0, 0.5, 1.0, 8.0, 1e-5, -1.0, 1e308, float("nan"), float("inf"),
    2**31 - 1, 2**31, 2**63, 10**9, 10**12, 10**400, "", " ", "a", "1", "-1", "null", "auto", "float32",
    "torch.int8", "complex64", "cat", "nn", "\ud800", "\0", "../a", "/", ".", "x" * 300, "x" * 100_000, [], ["a"],
    [0, 1], [[]], [None], {}, {"a": 1}, {"0": "a", "1": "b"}, {"0": [0]}, {"-1": [0]},
    {"content": "<x>"}, {"content": ["<s>"]}, {"a": {"b": {"c": [{}]}}}, ["a"] * 10_000,
    {str(i): i for i in range(10_000)}, _DEEP,
)  # fmt: skip


def mutated(rng: random.Random, value: Any, names: Sequence[str], values: Sequence[Any] = VALUES) -> Any:
    """A copy of a tree of dictionaries and lists with one to three changes.

    Args:
        names: keys to add, or to give to an entry.
        values: what takes the place of a value.
    """
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change(rng, rng.choice(_places(root)), names, values)
    return root[0]


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """All places of a tree, as containers and their keys."""
    places: list[tuple[Any, Any]] = []
    containers = [root]
    while containers and len(places) < 1000:
        container: Any = containers.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        places += [(container, key) for key in keys]
        containers += [container[key] for key in keys if isinstance(container[key], dict | list)]
    return places


def _change(rng: random.Random, place: tuple[Any, Any], names: Sequence[str], values: Sequence[Any]) -> None:
    container, key = place
    kind = rng.choice(("value", "value", "value", "drop", "add", "rename", "swap", "nest", "number"))
    inner = container[key]
    if kind == "drop" and len(container) > 0 and not (isinstance(container, list) and key == 0):
        del container[key]
    elif kind == "add" and isinstance(inner, dict):
        inner[rng.choice(names)] = copy.deepcopy(rng.choice(values))
    elif kind == "add" and isinstance(container, dict):
        container[rng.choice(names)] = copy.deepcopy(rng.choice(values))
    elif kind == "rename" and isinstance(container, dict):
        container[rng.choice(names)] = container.pop(key)
    elif kind == "swap" and isinstance(container, dict):
        other = rng.choice(list(container))
        container[key], container[other] = container[other], container[key]
    elif kind == "nest":
        container[key] = rng.choice(([inner], {"a": inner}, {rng.choice(names): inner}))
    elif kind == "number" and isinstance(inner, int | float) and not isinstance(inner, bool):
        # Ten mutations in a row can make an integer that no float can hold.
        as_float = float(inner) if abs(inner) < 2**1000 else inner
        container[key] = rng.choice((-inner, inner + 1, inner - 1, inner * 2, as_float, str(inner), inner * 10**9))
    else:
        container[key] = copy.deepcopy(rng.choice(values))


def json_bytes(rng: random.Random, value: Any, names: Sequence[str]) -> bytes:
    """The JSON of a value with changes: mostly of its structure, else of its bytes."""
    kind = rng.random()
    if kind < 0.8:
        value = mutated(rng, value, names)
    text = json.dumps(value).replace(json.dumps(_DEEP), _DEEP_LIST)
    if kind < 0.8 and rng.random() < 0.05:
        text = text.replace("{", f"{{{json.dumps(rng.choice(names))}: {json.dumps(rng.choice(VALUES[:-1]))}, ", 1)
    return text.encode() if kind < 0.8 else damaged(rng, text.encode())


def damaged(rng: random.Random, content: bytes, positions: Callable[[], int] | None = None) -> bytes:
    """Bytes that are cut off, repeated, overwritten, or have flipped bits.

    Args:
        positions: draws where; default anywhere.
    """
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = min(positions() if positions else rng.randrange(len(data) + 1), len(data))
        kind = rng.choice(("flip", "flip", "flip", "byte", "cut", "drop", "repeat", "insert", "integer", "empty"))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "byte" and at < len(data):
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + rng.choice((1, 2, 8, 64, 1000))]
        elif kind == "repeat":
            data[at:at] = data[max(0, at - rng.choice((1, 8, 100))) : at]
        elif kind == "insert":
            data[at:at] = rng.randbytes(rng.choice((1, 4, 8)))
        elif kind == "integer":
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(
                (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (4 * size), rng.getrandbits(8 * size))
            )
            data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif kind == "empty" and rng.random() < 0.05:
            data.clear()
    return bytes(data)

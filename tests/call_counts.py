"""Count the calls of a function, which does its work as before: the proof that a kernel runs."""

from functools import wraps
from typing import Any

import pytest


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """A list that grows by the name with each call of `owner.name`; `owner` is a module or a class."""
    calls: list[str] = []
    function = getattr(owner, name)

    @wraps(function)
    def counted(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return function(*args, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls

"""Versions of what the values and bytes of a part depend on."""

from functools import cache
from importlib.metadata import version

_DISTRIBUTIONS = ("xlmr-ray", "torch", "pyarrow")


@cache
def versions() -> dict[str, str]:
    """By name of the distribution, as they are installed where this is called."""
    return {name: version(name) for name in _DISTRIBUTIONS}

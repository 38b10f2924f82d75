"""Real text and labels, and schemas, that live beside a checkout of the repository and are never part of it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1].parent / "shared"


def shared_data(*parts: str) -> Path:
    """Path below the shared data folder; skips the calling test where it is absent."""
    return shared_file("data", *parts)


def shared_file(*parts: str) -> Path:
    """Path below the shared folder; skips the calling test where it is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared {'/'.join(parts)} is not on this machine")
    return path

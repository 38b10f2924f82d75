"""Real text and labels that live beside a checkout of the repository and are never part of it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Path below the shared data folder; skips the calling test where the folder is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared data {'/'.join(parts)} is not on this machine")
    return path

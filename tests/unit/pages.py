"""The pages of the project (READMEs and the like), and the code in them."""

import re
from pathlib import Path

from tests.unit.test_floors import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(p for part in FLOORS | {"jobs": []} for p in (ROOT / part).rglob("*.md"))]
NEEDS_MORE = "# Needs "
"""How a snippet begins that needs more than this machine has; it is only compiled."""


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language; "" for those without one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]

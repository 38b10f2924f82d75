"""Every public class, method and function of the library says what it does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "model").rglob("*.py"))


def undocumented(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef) or child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        # Overloads and setters share the docstring of what they belong to.
        decorators = {ast.unparse(decorator) for decorator in child.decorator_list}
        has_its_own = not decorators & {"overload", f"{child.name}.setter"}
        if ast.get_docstring(child) is None and has_its_own:
            yield name
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_everything_public_is_documented(file: Path) -> None:
    module = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(module), f"{file.name} needs a docstring"
    assert not list(undocumented(module, file.stem))

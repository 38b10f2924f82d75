"""Who may import whom: jobs -> pipeline -> model, and the model alone needs neither Ray nor Arrow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "model": {"ray", "pyarrow", "transformers", "pandas", "pipeline", "jobs", "tests"},
    "pipeline": {"jobs", "transformers", "tests"},
    "jobs": {"transformers", "tests"},
}


def imported_packages(file: Path) -> Iterator[str]:
    """First parts of the names of everything that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", list(FORBIDDEN))
def test_packages_import_downwards_only(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        wrong = set(imported_packages(file)) & FORBIDDEN[package]
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


def test_importing_the_model_loads_neither_ray_nor_arrow_nor_transformers() -> None:
    heavy = {"ray", "pyarrow", "transformers", "pandas", "huggingface_hub"}
    code = f"import sys, model\nprint(*sorted({{m.split('.')[0] for m in sys.modules}} & {heavy}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_every_name_of_the_model_is_there() -> None:
    import model  # noqa: PLC0415  # the test is about this import

    assert sorted(model.__all__) == model.__all__
    for name in model.__all__:
        assert hasattr(model, name), name

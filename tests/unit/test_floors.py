"""Rooms import only from lower floors, files without circles; Ray and torch stay in the rooms that need them."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# By package, its rooms (folders, or files beside them) from the ground up.
FLOORS: dict[str, list[set[str]]] = {
    "model": [
        {"parallel", "packing", "outputs"},
        {"checkpoints", "kernels"},
        {"configuration"},
        {"config", "tokenizer"},
        {"layers", "generation"},
        {"inference", "conversion"},
        {"modeling"},
    ],
    "pipeline": [
        {"errors", "row_errors", "fragments", "ray_actors", "arrays"},
        {"columns", "exit_codes", "storage"},
        {"failures"},
        {"tasks"},
        {"config", "monitoring"},
        {"heads", "input"},
        {"encoding", "batching", "output"},
        {"replica"},
        {"stages"},
        {"driver"},
    ],
    "jobs": [
        {"terminal", "configs", "deploy"},
        {"report"},
        {"annotate", "benchmark", "compare", "convert", "reference", "status"},
        {"evaluate"},
        {"fit"},
        {"demo"},
    ],
}


def modules_of(package: str) -> dict[str, Path]:
    """The files of a package by dotted name."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imports_of(package: str) -> dict[str, set[str]]:
    """By module, the modules of its package that it imports, wherever in the file and for types too."""
    modules = modules_of(package)
    found: dict[str, set[str]] = {}
    for name, file in modules.items():
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {node.module} if inner.isdisjoint(modules) else inner
        found[name] = named & modules.keys()
    return found


def room_of(module: str) -> str | None:
    """The second part of a dotted name; None for the package itself, which may import all."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


@pytest.mark.parametrize("package", list(FLOORS))
def test_rooms_import_from_lower_floors_only(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms}
    assert {room_of(module) for module in modules_of(package)} - {None} == set(floor)
    for module, imported in imports_of(package).items():
        for other in imported:
            room, other_room = room_of(module), room_of(other)
            if room is None or room == other_room:
                continue
            assert other_room is not None, f"{module} imports all of {package}"
            assert floor[other_room] < floor[room], f"{module} imports {other}"


@pytest.mark.parametrize("package", list(FLOORS))
def test_no_circles_of_files(package: str) -> None:
    try:
        TopologicalSorter(imports_of(package)).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(("package", "above"), [("model", {"pipeline", "jobs"}), ("pipeline", {"jobs"})])
def test_packages_import_from_lower_packages_only(package: str, above: set[str]) -> None:
    for module, file in modules_of(package).items():
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        assert not above & libraries([node for node in nodes if isinstance(node, ast.stmt)]), module


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("annotate.command", {"torch", "ray", "rich"}),
        ("compare.command", {"torch", "ray"}),
        ("evaluate.command", {"torch", "ray", "rich", "sklearn", "jinja2"}),
        ("convert", {"ray", "pyarrow", "rich"}),
        ("reference", {"torch", "ray", "rich"}),
        ("benchmark.command", {"ray", "pyarrow", "rich"}),
        ("status", {"torch", "ray"}),
        ("demo.__main__", {"torch", "ray", "pyarrow", "numpy"}),
    ],
)
def test_command_lines_load_little(command: str, absent: set[str]) -> None:
    """Mistakes on the command line are refused before slow libraries load, and some are optional."""
    assert not absent & loaded_with(f"jobs.{command}")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("model", {"torch", "numpy"}),
        ("pipeline.driver.prepared_run", {"torch", "ray"}),
        ("pipeline.driver.run", {"torch", "ray"}),
        ("pipeline.driver.cluster_address", {"ray", "grpc"}),
        ("pipeline.driver.dataset", {"torch"}),
        ("pipeline.stages.annotate", {"torch", "pandas"}),
        ("pipeline.stages.run_actor", {"torch", "pandas"}),
    ],
)
def test_processes_load_what_they_need(module: str, absent: set[str]) -> None:
    """Most of the start of a small run is imports; only ranks need torch."""
    assert not absent & loaded_with(module)


def loaded_with(module: str) -> set[str]:
    """The modules that are loaded once this one is."""
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(loaded.stdout.split())


RAY_ROOMS = {"ray_actors", "monitoring", "replica", "stages", "driver"}
TORCH_ROOMS = {"heads", "replica"}


def libraries(statements: list[ast.stmt]) -> set[str]:
    """First parts of the names that these statements import."""
    names = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in statements if isinstance(node, ast.ImportFrom) and node.module is not None}
    return {name.split(".")[0] for name in names}


def test_ray_and_torch_stay_in_their_rooms() -> None:
    """A task may import torch within the functions that ranks run, and for types."""
    for module, file in modules_of("pipeline").items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        everywhere = libraries([node for node in ast.walk(tree) if isinstance(node, ast.stmt)])
        at_import, room = libraries(tree.body), room_of(module)
        assert "ray" not in everywhere or room in RAY_ROOMS, module
        assert "torch" not in at_import or room in TORCH_ROOMS, module
        assert "torch" not in everywhere or room in TORCH_ROOMS | {"tasks"}, module

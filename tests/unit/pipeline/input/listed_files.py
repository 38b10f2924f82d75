"""Empty files in folders, as a listing finds them."""

from pathlib import Path

from pipeline.input.file_listing import list_input_files

TREE = [
    "a.parquet",
    "b.txt",
    "_hidden.parquet",
    ".dot.parquet",
    "news/2024/x.parquet",
    "news/2025/y.parquet",
    "news/2025/_temporary/z.parquet",
    "news/z[1].parquet",
    "_manifest/m.parquet",
    "spark.parquet/part-0.snappy.parquet",
    "spark.parquet/_SUCCESS",
    "sp ace/ä%20.parquet",
]


def write_tree(root: Path) -> Path:
    """The files, in a folder below `root`."""
    for name in TREE:
        path = root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root / "in"


def listed(*entries: Path | str) -> list[str]:
    """Relative paths of the files that are found."""
    files = list_input_files([str(entry) for entry in entries]).files
    assert all(file.path.endswith(file.relative_path) for file in files)
    return [file.relative_path for file in files]


def problems(*entries: Path | str) -> dict[str, str]:
    """Why files cannot be read, by relative path."""
    files = list_input_files([str(entry) for entry in entries]).files
    return {file.relative_path: file.problem for file in files if file.problem is not None}

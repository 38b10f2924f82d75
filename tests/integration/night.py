"""An input that changes and an output that follows it, for tests of runs without Ray."""

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.fragments import PartName
from tests.integration.output_runs import Options, run_once
from tests.unit.pipeline.input_files import rows, tree, write

OTHER_RUN = Options(identity={"model": "b"}, is_restart=True)


class Night:
    """An input that changes and an output that follows it."""

    def __init__(self, root: Path) -> None:
        self.inputs = root / "in"
        self.output = root / "out"
        self._fresh = root / "fresh"
        for name, num_rows in [("a", 25), ("x/b", 5), ("x/none", 0), ("x/lang=de/c", 12)]:
            self.write(name, num_rows)

    def write(self, name: str, num_rows: int, first: int = 0) -> Path:
        return write(self.inputs / f"{name}.parquet", rows(num_rows, first))

    def run(self, options: Options | None = None, on_part: Callable[[], None] = lambda: None) -> bool:
        return run_once(str(self.inputs), str(self.output), options, on_part)

    def fresh(self, options: Options | None = None) -> dict[str, bytes | None]:
        """What a first run on the input as it is now writes."""
        shutil.rmtree(self._fresh, ignore_errors=True)
        assert run_once(str(self.inputs), str(self._fresh), options)
        return tree(self._fresh)

    def parts(self) -> list[PartName]:
        """Those that readers find."""
        paths = (str(path.relative_to(self.output)) for path in self.output.rglob("*.parquet"))
        names = [PartName.parse(path) for path in paths]
        return [name for name in names if name is not None]

    def versions(self, stem: str) -> set[str]:
        """Of the parts of one file that readers find."""
        return {name.version for name in self.parts() if name.stem == stem}

    def times(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.output.rglob("*.parquet")}

"""Measure how long heads take to fit: `python -m jobs.fit.benchmark [--rows N] [--layers N] [--whole]`.

Features are drawn, and lie in a file in float16: the time is that of a search whose features are there. Without
--whole it is one linear head, on one layer, with one penalty, from reading the features to the figures of the test
part. With it, all heads are searched as by default.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.search.fit_result import FitResult
from jobs.fit.search.options import FitOptions
from jobs.fit.search.search import fit_heads
from jobs.terminal.arguments import add_version
from jobs.terminal.streams import accept_any_text

_BLOCK_ROWS = 4096


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; the default size is that of XL."""
    parser = argparse.ArgumentParser(prog="python -m jobs.fit.benchmark", description=__doc__)
    add_version(parser)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2560, help="dimensions of a row")
    parser.add_argument("--labels", type=int, default=3)
    parser.add_argument("--layers", type=int, default=None, help="default: 1, and 4 with --whole")
    parser.add_argument("--whole", action="store_true", help="search all heads")
    parser.add_argument("--scratch", type=Path, help="folder for the features, of 2 bytes a number")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures to this file")
    options = parser.parse_args(arguments)
    options.layers = options.layers or (4 if options.whole else 1)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        features, targets = draw(Path(folder), options.rows, options.size, options.labels, options.layers)
        figures = measured(features, targets, search_options(options.whole, Path(folder)))
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def search_options(is_whole: bool, scratch: Path) -> FitOptions:
    """The default search, or one linear head with one penalty."""
    if is_whole:
        return FitOptions(scratch=scratch)
    return FitOptions(heads=("linear",), mix=False, penalties=(1e-3,), max_extensions=0, scratch=scratch)


def draw(
    folder: Path, num_rows: int, size: int, num_labels: int, num_layers: int
) -> tuple[FeatureArrays, Targets]:
    """Features with what makes those of a trunk hard to fit on, and labels that depend on them.

    The variance of their directions falls off as 1 over the rank, and a few dimensions lie far out.
    """
    generator = np.random.default_rng(0)
    turn, _ = np.linalg.qr(generator.normal(size=(size, size)))
    spread = (turn / np.sqrt(np.arange(1, size + 1))[:, None]).astype(np.float32)
    mean = np.where(np.arange(size) % 500 == 7, 20.0, 0.0).astype(np.float32)
    weight = generator.normal(size=(size, num_labels)).astype(np.float32)
    values, arrays = np.empty(num_rows, dtype=np.int64), {}
    for layer in range(num_layers):
        name = folder / f"layer_{layer}.npy"
        file = np.lib.format.open_memmap(name, "w+", np.float16, (num_rows, size))
        for start in range(0, num_rows, _BLOCK_ROWS):
            drawn = generator.standard_normal((min(_BLOCK_ROWS, num_rows - start), size), dtype=np.float32)
            block = drawn @ spread
            file[start : start + len(block)] = block + mean
            if layer == 0:
                outputs = block @ weight
                noise = generator.gumbel(size=outputs.shape)
                values[start : start + len(block)] = np.argmax(outputs + outputs.std() * noise, axis=1)
        file.flush()
        arrays[layer] = np.load(name, mmap_mode="r")
    names = tuple(f"label {k}" for k in range(num_labels))
    return FeatureArrays(arrays), Targets("single", names, values)


def measured(features: FeatureArrays, targets: Targets, options: FitOptions) -> dict[str, Any]:
    """Seconds of a search and of its steps, and the most memory that the process has held."""
    began, began_cpu = perf_counter(), process_time()
    facts = RowFacts(range(features.num_rows))
    result: FitResult = fit_heads(features, targets, facts, options, tell=lambda s: print(s, file=sys.stderr))
    return {
        "rows": features.num_rows,
        "size": features.size,
        "labels": len(targets.names),
        "layers": len(features.layers),
        "seconds": perf_counter() - began,
        "processor_seconds": process_time() - began_cpu,
        "seconds_of_steps": dict(result.seconds),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "heads_tried": len(result.candidates),
        "kept": result.chosen.name,
        "passes": result.chosen.num_passes,
        "accuracy": result.test.overall["accuracy"].value,
    }


if __name__ == "__main__":
    sys.exit(main())

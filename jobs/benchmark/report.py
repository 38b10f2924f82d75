"""The figures of a benchmark, as JSON and as a table."""

import importlib.util
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from jobs.benchmark.timing import Case, limit_of, ratio_to_baseline, utilisation
from jobs.benchmark.trunks import HEADS, MIXES

COLUMNS = ("what", "tokens", "tokens/s", "GFLOP/s", "of the limit", "time to trunk's", "at 36 layers", "spread")
XL_LAYERS = 36


def at_depth(ratio: float, num_measured: int, num_layers: int) -> float:
    """Convert the ratio of trunk and head to the trunk alone from one number of layers to another.

    The cost of embeddings and of the final LayerNorm is neglected.
    """
    return 1 + (ratio - 1) * num_measured / num_layers


def mix_at_depth(ratio: float, num_measured: int, num_layers: int) -> float:
    """The same for a mix of all layers, which takes its time in each layer, and for the embeddings."""
    of_one = (ratio - 1) * num_measured / (num_measured + 1)
    return 1 + of_one * (num_layers + 1) / num_layers


_AT_DEPTH = {HEADS: at_depth, MIXES: mix_at_depth}


def figures(
    cases: Sequence[Case], num_layers: int, settings: dict[str, object], kernels: dict[str, str]
) -> dict[str, Any]:
    """All figures in JSON types.

    Args:
        num_layers: layers of the measured model; ratios of heads and mixes are also given for `XL_LAYERS`.
        kernels: the kernels of the trunk's layers.

    Returns:
        "date", "machine", "settings", "limit" (the fastest matrix product), "kernels" and "cases": see
        `case_figures`.
    """
    limit = limit_of(cases)
    by_name = {case.name: case for case in cases}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "settings": settings,
        "limit": {"name": limit.name, "gflops_per_s": limit.flops_per_s / 1e9},
        "kernels": kernels,
        "cases": [case_figures(case, limit, ratio_to_baseline(case, by_name), num_layers) for case in cases],
    }


def case_figures(case: Case, limit: Case, ratio: float | None, num_layers: int) -> dict[str, Any]:
    """Times, speed and utilisation of one case; `ratio` is that of its time to its baseline's."""
    at_36_layers = None
    if ratio is not None and case.group in _AT_DEPTH:
        at_36_layers = _AT_DEPTH[case.group](ratio, num_layers, XL_LAYERS)
    return {
        "name": case.name,
        "group": case.group,
        "num_tokens": case.num_tokens,
        "flops": case.flops,
        "seconds": case.seconds,
        "median_s": case.median,
        "spread": case.spread,
        "tokens_per_s": case.num_tokens / case.median,
        "gflops_per_s": case.flops_per_s / 1e9,
        "utilisation": utilisation(case, limit),
        "baseline": case.baseline,
        "time_to_baseline": ratio,
        "time_to_baseline_at_36_layers": at_36_layers,
    }


def machine() -> dict[str, object]:
    """Describe the machine, without the name of the host."""
    found: dict[str, object] = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "architecture": platform.machine(),
        "torch": torch.__version__,
    }
    if hasattr(os, "getloadavg"):
        found["load"] = round(os.getloadavg()[0], 1)
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cases as cells of `COLUMNS`."""
    return [
        (
            case["name"],
            f"{case['num_tokens']:,}" if case["num_tokens"] else "",
            f"{case['tokens_per_s']:,.0f}" if case["num_tokens"] else "",
            f"{case['gflops_per_s']:,.0f}",
            f"{case['utilisation']:.2f}",
            *(
                "" if case[key] is None else f"{case[key]:.2f}"
                for key in ("time_to_baseline", "time_to_baseline_at_36_layers")
            ),
            f"{case['spread']:.0%}",
        )
        for case in result["cases"]
    ]


def print_table(result: dict[str, Any]) -> None:
    """Print the figures, with rich if it is installed, else in plain columns."""
    title = f"{result['date']}, {result['machine']['cores']} cores, limit: {result['limit']['name']}"
    print_cells(title, COLUMNS, rows(result), [case["group"] for case in result["cases"]])


def print_cells(
    title: str, columns: Sequence[str], cells: Sequence[tuple[str, ...]], groups: Sequence[str]
) -> None:
    """Print a table with a gap between groups."""
    if importlib.util.find_spec("rich") is None:
        _print_plain(title, [tuple(columns), *cells])
        return
    from rich.table import Table  # noqa: PLC0415

    from jobs.terminal.console import plain_console  # noqa: PLC0415

    table = Table(title=title, box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    group = None
    for row, its_group in zip(cells, groups, strict=True):
        if group not in (None, its_group):
            table.add_section()
            table.add_row()
        group = its_group
        table.add_row(*row)
    plain_console(140).print(table)


def _print_plain(title: str, cells: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    print(title)
    for row in cells:
        name, *values = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print(name.strip().ljust(widths[0]), *values, sep="  ")

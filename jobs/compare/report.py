"""Print the result of `jobs.compare` as a table, and write it as JSON."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from jobs.compare.differences import Difference
from jobs.terminal.console import plain_console
from pipeline.errors import InputError
from pipeline.storage.printable import number_of

NARROWEST = 120


@dataclass
class Comparison:
    """The differences between two outputs, added up part by part.

    `expected` and `found` are their paths without secrets; `columns` maps each column to its figures by path.
    """

    expected: str
    found: str
    num_parts: int = 0
    num_rows: int = 0
    columns: dict[str, dict[str, Difference]] = field(default_factory=dict)
    only_expected: list[str] = field(default_factory=list)
    only_found: list[str] = field(default_factory=list)

    def add(self, name: str, figures: Mapping[str, Difference]) -> None:
        """Add the figures of a column in one more part."""
        column = self.columns.setdefault(name, {})
        for path, difference in figures.items():
            column[path] = column[path] + difference if path in column else difference

    def add_part(self, num_rows: int, *, only_expected: Sequence[str], only_found: Sequence[str]) -> None:
        """Count a part, and collect the columns that only one side has."""
        self.num_parts += 1
        self.num_rows += num_rows
        self.only_expected += [name for name in only_expected if name not in self.only_expected]
        self.only_found += [name for name in only_found if name not in self.only_found]

    @property
    def different(self) -> list[str]:
        """Names of the columns that differ."""
        return [
            name
            for name, figures in self.columns.items()
            if not all(difference.is_equal for difference in figures.values())
        ]


def print_comparison(comparison: Comparison) -> None:
    """Print a table with a line per leaf, the columns that only one side has, and a summary."""
    console = plain_console(160, narrowest=NARROWEST)
    console.print(_table(comparison))
    for side, names in (("EXPECTED", comparison.only_expected), ("FOUND", comparison.only_found)):
        if names:
            console.print(f"only in {side}, not compared: {', '.join(names)}", soft_wrap=True)
    console.print(_result(comparison), soft_wrap=True)


def write_json(comparison: Comparison, path: Path) -> None:
    """Write the same figures as JSON. Raises InputError if the file cannot be written."""
    values = {
        "expected": comparison.expected,
        "found": comparison.found,
        "parts": comparison.num_parts,
        "rows": comparison.num_rows,
        "is_equal": not comparison.different,
        "different_columns": comparison.different,
        "only_in_expected": comparison.only_expected,
        "only_in_found": comparison.only_found,
        "figures": {path: figures(difference) for path, difference in _lines(comparison)},
    }
    try:
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json: {path} cannot be written: {error.strerror}; choose another file") from None


def figures(difference: Difference) -> dict[str, Any]:
    """The figures that apply to the kind of values; means are None if nothing was measured."""
    common: dict[str, Any] = {
        "kind": difference.kind,
        "num_compared": difference.num_compared,
        "num_one_null": difference.num_one_null,
        "num_different_rows": difference.num_different_rows,
    }
    if difference.kind != "struct":
        common["num_different"] = difference.num_different
        common["share_different"] = _ratio(difference.num_different, difference.num_compared)
    match difference.kind:
        case "number":
            is_measured = difference.num_measured > 0
            return common | {
                "num_not_finite": difference.num_not_finite,
                "mean_difference": _ratio(difference.sum_difference, difference.num_measured),
                "greatest_difference": difference.greatest_difference if is_measured else None,
                "mean_relative_difference": _ratio(difference.sum_relative, difference.num_measured),
            }
        case "vector":
            return common | {
                "num_not_finite": difference.num_not_finite,
                "mean_cosine": _ratio(difference.sum_cosine, difference.num_measured),
                "least_cosine": difference.least_cosine if difference.num_measured else None,
            }
        case "bits":
            share = _ratio(difference.num_different_bits, difference.num_bits)
            return common | {"share_different_bits": share}
    return common


def _lines(comparison: Comparison) -> Iterator[tuple[str, Difference]]:
    for column in comparison.columns.values():
        yield from column.items()


def _table(comparison: Comparison) -> Table:
    """The table; structs and lists have a line only if they differ themselves, and empty columns are left out."""
    lines = [
        (path, difference, figures(difference))
        for path, difference in _lines(comparison)
        if difference.kind not in ("struct", "list") or not difference.is_equal
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("column", overflow="fold")
    cells = {heading: [cell(values) for _, _, values in lines] for heading, cell in _CELLS.items()}
    shown = {heading: column for heading, column in cells.items() if any(column)}
    for heading in shown:
        table.add_column(heading, justify="right")
    for index, (path, difference, _) in enumerate(lines):
        name = f"{path}, lengths" if difference.kind == "list" else path
        table.add_row(name, *(column[index] for column in shown.values()))
    return table


def _differing(values: dict[str, Any]) -> str:
    number = values.get("num_different")
    if not number:
        return "" if number is None else "0"
    return f"{number:,} ({_percent(values['share_different'])})"


def _rows(values: dict[str, Any]) -> str:
    """Number of rows that differ; empty if no row has more than one difference."""
    num_pairs = values["num_one_null"] + values.get("num_different", 0)
    return "" if values["num_different_rows"] == num_pairs else f"{values['num_different_rows']:,}"


def _number(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda values: "" if values.get(name) is None else f"{values[name]:.2g}"


def _count(name: str) -> Callable[[dict[str, Any]], str]:
    """A count; empty for 0, the usual case."""
    return lambda values: f"{values[name]:,}" if values.get(name) else ""


def _cosine(name: str) -> Callable[[dict[str, Any]], str]:
    """A cosine, rounded down, so that only 1 is shown as 1."""
    return lambda values: "" if values.get(name) is None else f"{math.floor(values[name] * 1e6) / 1e6:.6f}"


def _share(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda values: "" if values.get(name) is None else _percent(values[name])


_CELLS: dict[str, Callable[[dict[str, Any]], str]] = {
    "compared": lambda values: f"{values['num_compared']:,}",
    "differ": _differing,
    "in rows": _rows,
    "null in one": _count("num_one_null"),
    "not finite": _count("num_not_finite"),
    "mean |difference|": _number("mean_difference"),
    "greatest": _number("greatest_difference"),
    "relative": _share("mean_relative_difference"),
    "mean cosine": _cosine("mean_cosine"),
    "least": _cosine("least_cosine"),
    "bits": _share("share_different_bits"),
}
"""The headings of the table, and for each the cell of a line."""


def _percent(share: float) -> str:
    """A percentage with two decimals; 0 and 100 only for exactly none and all."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if share < 0.0001:
        return "<0.01 %"
    return f"{min(share, 0.9999) if share < 1 else share:.2%}".replace("%", " %")


def _ratio(total: float, count: int) -> float | None:
    return total / count if count else None


def _result(comparison: Comparison) -> str:
    compared = f"{number_of(comparison.num_rows, 'row')} in {number_of(comparison.num_parts, 'part')} compared"
    different = comparison.different
    num_columns = len(comparison.columns)
    if not different:
        return f"{compared}: all {num_columns} columns are equal"
    return f"{compared}: {len(different)} of {num_columns} columns differ ({', '.join(different)})"

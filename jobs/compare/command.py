"""Compare two outputs of the same input: `python -m jobs.compare EXPECTED FOUND [--columns a,b]`.

EXPECTED and FOUND are output folders of jobs.annotate over the same input, for example with another
`model.dtype`, `model.tensor_parallel_size` or checkpoint. Differences are counted and measured column by column;
texts are never printed. The exit code is 0 whether or not they differ, and 2 if they cannot be compared.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from rich.console import Console
from rich.progress import track

from jobs.compare.differences import Difference, column_differences
from jobs.compare.report import Comparison, print_comparison, write_json
from jobs.terminal.arguments import add_version, parse_known, utf8_text
from jobs.terminal.streams import accept_any_text
from pipeline.errors import InputError, OutputError
from pipeline.exit_codes import DONE, REFUSED
from pipeline.fragments import PartName
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import resolve_path
from pipeline.storage.printable import number_of
from pipeline.storage.retries import retry_transient

_MAX_SHOWN = 3


@dataclass(frozen=True)
class Side:
    """One of the two outputs; `field` is EXPECTED or FOUND, `path` the path without secrets."""

    field: str
    path: str
    folder: OutputFolder

    def open(self, part: str) -> pa.NativeFile:
        """Open a part for reading."""
        return self.folder.filesystem.open_input_file(f"{self.folder.root}/{part}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    parser.add_argument(
        "expected", type=utf8_text, metavar="EXPECTED", help="output folder, local or s3:// and the like"
    )
    parser.add_argument("found", type=utf8_text, metavar="FOUND", help="output folder that is compared with it")
    parser.add_argument(
        "--columns", type=utf8_text, metavar="A,B", help="columns to compare; default: all that both have"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    return parse_known(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    try:
        comparison = compare(options)
        print_comparison(comparison)
        if options.json is not None:
            write_json(comparison, options.json)
    except InputError as error:
        print(f"refused: {without_secret(str(error))}", file=sys.stderr)
        return REFUSED
    return DONE


def compare(options: argparse.Namespace) -> Comparison:
    """Compare all parts, with one pair of columns in memory at a time. Raises InputError."""
    expected, found = open_side("EXPECTED", options.expected), open_side("FOUND", options.found)
    parts = paired_parts(expected, found)
    wanted = None if options.columns is None else _names(options.columns)
    comparison = Comparison(expected.path, found.path)
    console = Console(stderr=True)
    for part in track(parts, "comparing", console=console, transient=True, disable=not console.is_terminal):
        add_part(comparison, part, (expected, found), wanted)
    return comparison


def _names(listed: str) -> list[str]:
    """The names between the commas, each once, since the figures of a repeated column would add up."""
    return list(dict.fromkeys(name.strip() for name in listed.split(",")))


def open_side(field: str, path: str) -> Side:
    """Open an output folder. Raises InputError if it does not exist."""
    filesystem, root = resolve_path(path, field)
    side = Side(field, without_secret(path), OutputFolder(filesystem, root))
    try:
        kind = retry_transient(lambda: filesystem.get_file_info(root)).type
    except OSError as error:
        raise InputError(f"{field}: {side.path} cannot be read: {error}; check the path and the rights") from None
    if kind != fs.FileType.Directory:
        what = "does not exist" if kind == fs.FileType.NotFound else "is a file"
        raise InputError(
            f"{field}: {side.path} {what}, expected an output folder of jobs.annotate; check the path"
        )
    return side


def paired_parts(expected: Side, found: Side) -> list[str]:
    """The sorted paths of the parts of both folders. Raises InputError if one lacks some."""
    ours, theirs = _parts(expected), _parts(found)
    if ours == theirs:
        return sorted(ours)
    only = [
        f"{len(names):,} only in {side.field} ({_some(names)})"
        for side, names in ((expected, ours - theirs), (found, theirs - ours))
        if names
    ]
    raise InputError(
        f"FOUND: {found.path} does not have the parts of {expected.path}: {', '.join(only)}; expected the same "
        "names, which come from the input; compare finished outputs of the same input files, with the same "
        "input.max_fragment_rows and input.max_fragment_bytes"
    )


def _parts(side: Side) -> set[str]:
    """The paths of the parts of a folder. Raises InputError if there are none."""
    try:
        paths = {path for path, _ in side.folder.list_files() if not path.startswith(("_", "."))}
    except OutputError as error:
        raise InputError(
            f"{side.field}: {side.path} cannot be listed: {error.__cause__}; check the path and the rights"
        ) from None
    parts = {path for path in paths if PartName.parse(path) is not None}
    if not parts:
        raise InputError(
            f"{side.field}: {side.path} has no parts, expected an output folder of jobs.annotate; check the path, "
            "or run the job first"
        )
    return parts


def add_part(comparison: Comparison, part: str, sides: tuple[Side, Side], wanted: Sequence[str] | None) -> None:
    """Add the figures of one pair of parts. Raises InputError if they cannot be read or compared."""
    with ExitStack() as stack:
        files = [_open_part(stack, side, part) for side in sides]
        rows = [file.metadata.num_rows for file in files]
        if rows[0] != rows[1]:
            raise InputError(
                f"FOUND: {part} has {number_of(rows[1], 'row')}, expected {rows[0]:,} as in EXPECTED; "
                "compare outputs of the same input"
            )
        names = [file.schema_arrow.names for file in files]
        for name in wanted or ():
            for side, there in zip(sides, names, strict=True):
                _require_column(name, side, part, there)
        for name in wanted or [name for name in names[0] if name in names[1]]:
            comparison.add(name, _figures(part, name, sides, files))
    comparison.add_part(
        rows[0],
        only_expected=[] if wanted else [name for name in names[0] if name not in names[1]],
        only_found=[] if wanted else [name for name in names[1] if name not in names[0]],
    )


def _open_part(stack: ExitStack, side: Side, part: str) -> pq.ParquetFile:
    try:
        source = stack.enter_context(retry_transient(lambda: side.open(part)))
        return retry_transient(lambda: pq.ParquetFile(source, page_checksum_verification=True))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(side, part, error) from None


def _figures(
    part: str, name: str, sides: Sequence[Side], files: Sequence[pq.ParquetFile]
) -> dict[str, Difference]:
    columns = []
    for side, file in zip(sides, files, strict=True):
        try:
            columns.append(retry_transient(partial(file.read, columns=[name])).column(name))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(side, part, error) from None
    try:
        return column_differences(name, *columns)
    except InputError as error:
        raise InputError(f"FOUND: {part}: {error}") from None


def _require_column(name: str, side: Side, part: str, there: Sequence[str]) -> None:
    if name in there:
        return
    nearest = get_close_matches(name, there, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise InputError(
        f"--columns: found {name!r}, which {part} of {side.field} does not have; {guess}expected some of "
        f"{', '.join(there)}"
    )


def _unreadable(side: Side, part: str, error: Exception) -> InputError:
    reason = str(error).partition("\n")[0]
    return InputError(f"{side.field}: {part} of {side.path} cannot be read: {reason}; make this output again")


def _some(names: set[str]) -> str:
    more = ", …" if len(names) > _MAX_SHOWN else ""
    return ", ".join(sorted(names)[:_MAX_SHOWN]) + more

"""Report on an output: `python -m jobs.report OUTPUT [--page FILE.html] [--by COLUMN] [--card DIR]`.

OUTPUT is an output folder of jobs.annotate. The page has sizes, calls of the command, lengths, errors, and of each
head labels, labels by language, and quantiles of its scores. Of the corpus it shows nothing but the values of the
column of languages. It needs the extra `report`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.report.annotation.card_copy import copy_with_card
from jobs.report.annotation.figures import read_figures
from jobs.terminal.arguments import add_version, parse_known, utf8_text
from jobs.terminal.streams import accept_any_text
from pipeline.errors import ConfigError, PipelineError
from pipeline.exit_codes import DONE, REFUSED
from pipeline.output.call_history import CallHistory
from pipeline.output.output_folder import OutputFolder
from pipeline.output.status import read_status
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import resolve_path


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.report", description=__doc__)
    add_version(parser)
    parser.add_argument("output", type=utf8_text, metavar="OUTPUT", help="folder or URI of the output")
    parser.add_argument(
        "--page", type=Path, metavar="FILE.html", default=Path("report.html"), help="where to write; %(default)s"
    )
    parser.add_argument(
        "--by", type=utf8_text, metavar="COLUMN", help="column of languages; default: lang or alike"
    )
    parser.add_argument(
        "--card", type=Path, metavar="DIR", help="only copy the parts to a new folder, with the card as README.md"
    )
    return parse_known(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    try:
        folder = OutputFolder(*resolve_path(options.output, "OUTPUT"))
        if options.card is not None:
            print(copy_with_card(folder, options.card))
        else:
            _write_page(folder, without_secret(options.output), options.page, options.by)
    except PipelineError as error:
        print(f"refused: {without_secret(str(error))}", file=sys.stderr)
        return REFUSED
    return DONE


def _write_page(folder: OutputFolder, name: str, page: Path, by: str | None) -> None:
    try:
        # Imported late, as they need packages of the extra.
        from jobs.report.annotation.annotation_page import annotation_page  # noqa: PLC0415
        from jobs.report.render import render_page  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"found no package {error.name}, expected the extra: pip install '.[report]'") from None
    status = read_status(folder)
    html = render_page(annotation_page(name, status, CallHistory(folder).calls(), read_figures(folder, by)))
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--page: {page} cannot be written: {error.strerror}; choose another") from None
    print(f"written: {page}")

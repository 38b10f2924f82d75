"""Fit heads to labels on the frozen model: `python -m jobs.fit FIT.toml [--set key.path=value]…`.

FIT.toml names the model, Parquet files with labels, and a table [heads.NAME] for each label column. For each
of these a directory OUTPUT/NAME is written, which [heads.NAME] weights = "OUTPUT/NAME" of a job loads. An example:

  python -m jobs.fit jobs/configs/fit.toml --set output.path=fitted

Features are computed once, in OUTPUT/features. Run again after an interruption, it goes on where it was.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.annotate.shown_secrets import refuse_shown_secrets
from jobs.fit.settings import load_settings, shown_settings
from jobs.terminal.arguments import add_version, utf8_text
from jobs.terminal.interruption import Interruption
from jobs.terminal.leaving import leave_quickly
from jobs.terminal.streams import accept_any_text
from pipeline.errors import ConfigError, PipelineError
from pipeline.exit_codes import INTERRUPTED, ending_of, exit_code_of
from pipeline.storage.filesystem_uris import without_secret


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.fit",
        description=__doc__,
        epilog=f"settings:\n\n{shown_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    parser.add_argument("fit", type=utf8_text, metavar="FIT.toml", help="the settings")
    parser.add_argument("--set", dest="overrides", type=utf8_text, action="append", default=[],
                        metavar="KEY=VALUE", help="replace a setting, e.g. output.path=fitted")  # fmt: skip
    parser.add_argument("--address", type=utf8_text, metavar="ADDRESS",
                        help='Ray cluster; default: the one of `ray job submit`, else "local"',
                        default=os.environ.get("RAY_ADDRESS") or "local")  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = _run(parse_arguments(given), given)
    if arguments is None:
        leave_quickly(code)
    return code


def _run(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Fit; returns the exit code, also of errors."""
    try:
        with Interruption():
            refuse_shown_secrets(given, os.environ)
            settings = load_settings(Path(options.fit), options.overrides)
            # Imported late: scipy and the like take a while to load, and are an extra.
            try:
                from jobs.fit.run import fit  # noqa: PLC0415
            except ModuleNotFoundError as error:
                raise ConfigError(
                    f"the package {error.name} is not installed, expected the extras evaluate and report; "
                    "pip install 'xlmr-ray[evaluate,report]'"
                ) from None
            command = shlex.join(["xlmr-fit", *map(without_secret, given)])
            return fit(settings, command, options.address)
    except PipelineError as error:
        print(without_secret(ending_of(error)), file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on from here", file=sys.stderr)
        return INTERRUPTED

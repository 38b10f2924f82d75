"""Evaluate a checkpoint on a benchmark: `python -m jobs.evaluate BENCHMARK --model DIR --data DIR`.

BENCHMARK is xnli, glue, glue/mnli (and its other tasks), xquad, tydiqa, squad, squad_v2, mlqa, xcopa, pawsx,
sib200, udpos, wikiann, or with --gold a task of jobs.annotate (text-classification, token-classification,
question-answering, multiple-choice) on data of your own, or mt-quality on judged translations; or the path of a
TOML file. The files are Parquet as the hub exports them. An example:

  python -m jobs.evaluate xnli --model models/xlm-roberta-xl-xnli --data data/xnli --languages de,fr

Predictions, results.json, tables and a report are written to --output. Run again, it goes on where it was.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.annotate.shown_secrets import refuse_shown_secrets
from jobs.evaluate.local_files import require_writable
from jobs.evaluate.pairs import parse_pairs
from jobs.evaluate.settings import AS_GIVEN, EvaluationSettings, Labels, load_settings
from jobs.terminal.arguments import add_version, parse_known, utf8_text
from jobs.terminal.interruption import Interruption
from jobs.terminal.leaving import leave_quickly
from jobs.terminal.streams import accept_any_text
from pipeline.errors import ConfigError, PipelineError
from pipeline.exit_codes import DONE, INTERRUPTED, ending_of, exit_code_of
from pipeline.storage.filesystem_uris import without_secret

_BY_TASK = re.compile(r"\w+=")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)

    def option(name: str, metavar: str, meaning: str, **more: Any) -> None:
        parser.add_argument(name, type=utf8_text, metavar=metavar, help=meaning, **more)

    parser.add_argument("benchmark", nargs="?", type=utf8_text, metavar="BENCHMARK", help="see above")
    option("--model", "DIR", "trunk and tokenizer; for several tasks cola=DIR,mnli=DIR,…")
    option("--head", "DIR", "the head, where it lies apart from the model; for several tasks as --model")
    option("--data", "DIR", "the benchmark's Parquet files, local or s3:// and the like")
    option("--split", "SPLIT", "default: what the benchmark's figures are usually given for")
    option("--languages", "A,B", "default: all that are there")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows of each language")
    option(
        "--labels", "NAME=LABEL,…", "the benchmark's names of the head's labels, or as-given: do not doubt them"
    )
    option("--gold", "COLUMN", "data of your own: the column with the right answers")
    option("--by", "COLUMN", "data of your own: score the rows of each value of this column apart")
    option(
        "--columns",
        "ROLE=COLUMN,…",
        "data of your own: text, text_pair, words, question, context, prompt, choices; mt-quality: source, "
        "translation, reference",
    )
    option("--language-pair", "COLUMN", "mt-quality: score the rows of each value of this column apart")
    option("--system", "COLUMN", "mt-quality: which system translated; compares the means of systems")
    option("--segment", "COLUMN", "mt-quality: equal in translations of one segment; adds acc_eq of WMT23")
    option("--output", "OUT", "default: evaluated/BENCHMARK")
    option("--set", "KEY=VALUE", "a setting as in a job file, e.g. model.dtype=bfloat16 or head.window=256",
           dest="overrides", action="append", default=[])  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="of the resampling for intervals, default 0")
    option("--report", "FILE", "write the report here as well")
    option("--score-only", "OUT", "score the predictions that are in OUT again, without a model")
    option("--compare", "OUT", "set two evaluations side by side", nargs=2)
    option("--json", "FILE", "with --compare: write all figures, and the rows that flipped, to this file")
    option("--address", "ADDRESS", 'Ray cluster; default: the one of `ray job submit`, else "local"',
           default=os.environ.get("RAY_ADDRESS") or "local")  # fmt: skip
    return parse_known(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = _run_and_report(parse_arguments(given), given)
    if arguments is None:
        leave_quickly(code)
    return code


def _run_and_report(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Run the command; returns the exit code, also of errors."""
    try:
        with Interruption():
            refuse_shown_secrets(given, os.environ)
            return _run(options, shlex.join(["xlmr-evaluate", *map(without_secret, given)]))
    except PipelineError as error:
        print(without_secret(ending_of(error)), file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on from here", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace, command: str) -> int:
    """Evaluate, score again, or compare; returns the exit code."""
    _refuse_contradiction(options)
    # Imported late: scikit-learn and the like take a while to load, and are an extra.
    try:
        if options.compare is not None:
            from jobs.evaluate.comparison import compare  # noqa: PLC0415

            compare(*options.compare, seed=options.seed or 0, json_file=options.json)
            return DONE
        from jobs.evaluate.outcome import publish  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the package {error.name} is not installed, expected the extras evaluate and report; "
            "pip install 'xlmr-ray[evaluate,report]'"
        ) from None
    if options.score_only is not None:
        labels = None if options.labels is None else _labels(options.labels)
        return publish(options.score_only, seed=options.seed or 0, report=options.report, labels=labels)
    settings = settings_of(options)
    from jobs.evaluate.run import evaluate  # noqa: PLC0415

    code = evaluate(settings, command, options.address)
    published = publish(settings.output["path"], seed=settings.seed, report=options.report, labels=None)
    return published or code


def settings_of(options: argparse.Namespace) -> EvaluationSettings:
    """The settings of a command line. Raises ConfigError."""
    file = None
    found = _given(options, "data", "split", "limit", "seed")
    if options.benchmark is not None and options.benchmark.endswith(".toml"):
        file = Path(options.benchmark)
    elif options.benchmark is not None:
        found["benchmark"] = options.benchmark
    if options.languages is not None:
        found["languages"] = [name.strip() for name in options.languages.split(",") if name.strip()]
    if options.labels is not None:
        found["labels"] = _labels(options.labels)
    if options.output is not None:
        found["output"] = {"path": options.output}
    own = _given(options, "gold", "by", "language_pair", "system", "segment")
    if options.columns is not None:
        own["columns"] = {
            role: _one_or_many(name) for role, name in parse_pairs("--columns", options.columns).items()
        }
    if own:
        found["own"] = own
    for option, key in (("model", "path"), ("head", "weights")):
        _add_directories(found, option, key, getattr(options, option))
    return load_settings(file, found, options.overrides)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _add_directories(found: dict[str, Any], option: str, key: str, value: str | None) -> None:
    """Add `--model` or `--head`: one directory, or one for each task."""
    # A path may hold an equals sign, too: models/lr=1e-5.
    if value is not None and _BY_TASK.match(value):
        for task, directory in parse_pairs(f"--{option}", value).items():
            found.setdefault("tasks", {}).setdefault(task, {})[option] = directory
    elif value is not None:
        found[option] = {key: value}


def _labels(text: str) -> Labels:
    return "as-given" if text == AS_GIVEN else parse_pairs("--labels", text)


def _one_or_many(column: str) -> str | list[str]:
    """A column, or several with a plus sign between them."""
    return column.split("+") if "+" in column else column


_RUN, _SCORE, _COMPARE = "BENCHMARK", "--score-only", "--compare"
_EXPECTED_BESIDE = {
    **dict.fromkeys(
        (
            "model",
            "head",
            "data",
            "split",
            "languages",
            "limit",
            "gold",
            "by",
            "columns",
            "language_pair",
            "system",
            "segment",
            "output",
            "overrides",
        ),
        (_RUN,),
    ),
    **dict.fromkeys(("labels", "report"), (_RUN, _SCORE)),
    "json": (_COMPARE,),
}


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that exclude each other, or if there is nothing to do."""
    modes = {_RUN: options.benchmark, _SCORE: options.score_only, _COMPARE: options.compare}
    found = [name for name, value in modes.items() if value is not None]
    if len(found) != 1:
        what = f"found {' and '.join(found)}" if found else "found none of them"
        raise ConfigError(f"{what}, expected one of BENCHMARK, --score-only and --compare; see --help")
    for name, expected in _EXPECTED_BESIDE.items():
        if getattr(options, name) not in (None, []) and found[0] not in expected:
            option = "set" if name == "overrides" else name.replace("_", "-")
            raise ConfigError(
                f"--{option}: found beside {found[0]}, expected beside {' or '.join(expected)} only; leave it out"
            )
    if options.seed is not None and options.seed < 0:
        raise ConfigError(f"--seed: found {options.seed}, expected an integer, 0 or more; correct it")
    if options.report is not None:
        require_writable("--report", options.report)

"""Measure how fast the model is on this machine: `python -m jobs.benchmark [--no-ray] [--json PATH]`.

All cases are measured in interleaved rounds, and compared with the device's own limit, which is measured in the
same rounds. `--no-ray` needs only torch, numpy, safetensors and sentencepiece.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from jobs.benchmark.peers import peer_cases
from jobs.benchmark.products import product_cases, sustained
from jobs.benchmark.ranks import rank_cases
from jobs.benchmark.report import figures, print_cells, print_table
from jobs.benchmark.scenarios import SCENARIOS, corpus_lengths, draw_lengths
from jobs.benchmark.timing import Case, measure
from jobs.benchmark.trunks import Models, build_models, first_batch, head_cases, mix_cases, trunk_cases
from jobs.terminal.arguments import add_version
from jobs.terminal.streams import accept_any_text
from model import XLMRobertaXLConfig, XLMRobertaXLTokenizer
from model.inference.quantization import QUANTIZATIONS


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; the default geometry is that of XL with four layers."""
    parser = argparse.ArgumentParser(prog="python -m jobs.benchmark", description=__doc__)
    add_version(parser)
    add = parser.add_argument
    _add_modes(parser)
    add("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    add(
        "--heads-on",
        choices=SCENARIOS,
        default="paragraphs",
        help="the scenario on which heads and mixes of layers are measured",
    )
    add("--layers", type=int, default=4)
    add("--hidden-size", type=int, default=2560)
    add("--intermediate-size", type=int, default=10240)
    add("--attention-heads", type=int, default=32)
    add("--vocab-size", type=int, default=250_880)
    add("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    add("--quantized", nargs="+", choices=QUANTIZATIONS, default=[], help="also measure these forms of the layers")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--token-budget", type=int, default=8192)
    add("--rounds", type=int, default=3)
    add("--threads", type=int, default=None, help="threads of torch, for all ranks together; default: torch's own")
    add("--ranks", type=int, nargs="*", default=[2], help="tensor-parallel sizes to measure besides 1")
    add("--corpus", type=Path, help="Parquet files with the columns source and text; without it lengths are drawn")
    add("--tokenizer", type=Path, help="directory of sentencepiece.bpe.model, for --corpus and --whole-job")
    add("--rows", type=int, default=512, help="rows of the whole job, or of the smallest run of --plumbing")
    add(
        "--cpu-time",
        action="store_true",
        help="measure processor time of one thread, for a machine that is shared; without ranks",
    )
    add("--no-peers", action="store_true", help="leave out Transformers even if it is installed")
    add("--json", type=Path, metavar="PATH", help="write the figures to this file")
    options = parser.parse_args(arguments)
    _complete(options, parser)
    return options


def _add_modes(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is measured."""
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--no-ray", action="store_true", help="model and batching only (the default)")
    mode.add_argument(
        "--whole-job",
        action="store_true",
        help="also jobs.annotate, Parquet to Parquet, and on a GPU a model runner alone",
    )
    mode.add_argument("--plumbing", action="store_true", help="everything but the model")
    parser.add_argument(
        "--replicas",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="with --plumbing: how so many replicas are fed, whose ranks sleep as long as a GPU would compute",
    )
    parser.add_argument(
        "--tokens-per-second", type=float, default=3_000, metavar="RATE", help="of each of these replicas"
    )


def _complete(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End the program if options contradict each other; set those that follow from others."""
    if options.corpus and not options.tokenizer:
        parser.error("--corpus needs --tokenizer, the directory of sentencepiece.bpe.model")
    for mode in ("whole_job", "plumbing"):
        if getattr(options, mode) and not options.corpus:
            parser.error(f"--{mode.replace('_', '-')} needs --corpus and --tokenizer: it runs on text")
    if options.replicas and not options.plumbing:
        parser.error("--replicas needs --plumbing")
    if options.quantized and options.dtype != "bfloat16":
        parser.error("--quantized needs --dtype bfloat16, the dtype of everything but the products")
    if options.cpu_time:
        if options.whole_job:
            parser.error("--cpu-time measures this process only, and --whole-job runs others")
        options.threads, options.ranks = 1, []


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.threads:
        torch.set_num_threads(options.threads)
    result = plumbing(options) if options.plumbing else run(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def plumbing(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything but the model, and print it; returns the figures."""
    from jobs.benchmark import plumbing, scale  # noqa: PLC0415  # loads Ray and Arrow

    if options.replicas:
        found = scale.measure_scale(options)
        title = f"{os.cpu_count()} cores, ranks that sleep at {options.tokens_per_second:,.0f} tokens/s"
        print_cells(title, scale.COLUMNS, scale.rows(found), ["scale"] * len(found))
    else:
        found = plumbing.measure_plumbing(options)
        title = f"{os.cpu_count()} cores, times without the start"
        print_cells(title, plumbing.COLUMNS, plumbing.rows(found), [run["name"].split()[0] for run in found])
    return {"settings": settings_of(options), "plumbing": found}


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """The command line in JSON types."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the options ask for, and print it; returns the figures."""
    config = config_of(options)
    lengths = lengths_of(options)
    dtype = getattr(torch, options.dtype)
    models = build_models(config, dtype, options.device, with_plain=True, quantizations=options.quantized)
    assert models.fused.fused is not None
    with ExitStack() as stack:
        cases = _cases(options, models, lengths, stack)
        measure(
            cases,
            options.rounds,
            device=options.device,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
            clock=time.process_time if options.cpu_time else time.perf_counter,
        )
        if options.whole_job:
            from jobs.benchmark.whole_job import without_start  # noqa: PLC0415  # loads Arrow

            cases += without_start(cases)
        result = figures(cases, options.layers, settings_of(options), models.fused.fused.kernel_names())
    print_table(result)
    return result


def config_of(options: argparse.Namespace) -> XLMRobertaXLConfig:
    """The geometry given on the command line."""
    return XLMRobertaXLConfig(
        vocab_size=options.vocab_size,
        hidden_size=options.hidden_size,
        intermediate_size=options.intermediate_size,
        num_attention_heads=options.attention_heads,
        num_hidden_layers=options.layers,
    )


def lengths_of(options: argparse.Namespace) -> dict[str, list[int]]:
    """By scenario, the lengths of the sequences in the order of arrival."""
    if options.corpus is None:
        return {name: draw_lengths(name, options.token_budget) for name in options.scenarios}
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(options.tokenizer)
    return {
        name: corpus_lengths(name, options.token_budget, options.corpus, tokenizer) for name in options.scenarios
    }


def _cases(
    options: argparse.Namespace, models: Models, lengths: dict[str, list[int]], stack: ExitStack
) -> list[Case]:
    config, dtype = models.config, getattr(torch, options.dtype)
    cases = product_cases(config, options.token_budget, dtype, options.device)
    if options.whole_job:
        # The last form is the one that the trunk uses.
        cases.append(sustained(cases[-1], options.device))
    batches = {
        name: first_batch(drawn, options.token_budget, config, options.device) for name, drawn in lengths.items()
    }
    for name, batch in batches.items():
        cases += trunk_cases(name, models, batch)
    for num_ranks in options.ranks:
        ranks = rank_cases(
            num_ranks,
            config,
            lengths,
            token_budget=options.token_budget,
            dtype=dtype,
            device=options.device,
            num_threads=torch.get_num_threads(),
        )
        cases += stack.enter_context(ranks)
    if options.heads_on in batches:
        cases += head_cases(options.heads_on, models, batches[options.heads_on])
        cases += mix_cases(options.heads_on, models, batches[options.heads_on])
    if not options.no_peers:
        cases += peer_cases(config, lengths, dtype, options.device)
    if options.whole_job:
        from jobs.benchmark.whole_job import whole_job_cases  # noqa: PLC0415  # loads Arrow

        cases += whole_job_cases(options, config, stack)
    return cases

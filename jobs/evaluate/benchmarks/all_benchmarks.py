"""All benchmarks by their names on the command line."""

from jobs.evaluate.benchmarks import glue, mlqa, pawsx, sib200, squad, tydiqa, udpos, wikiann, xcopa, xnli, xquad
from jobs.evaluate.examples import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    "xnli": xnli.BENCHMARK,
    "glue": glue.BENCHMARK,
    "xquad": xquad.BENCHMARK,
    "tydiqa": tydiqa.BENCHMARK,
    "squad": squad.BENCHMARK,
    "squad_v2": squad.BENCHMARK_V2,
    "mlqa": mlqa.BENCHMARK,
    "xcopa": xcopa.BENCHMARK,
    "pawsx": pawsx.BENCHMARK,
    "sib200": sib200.BENCHMARK,
    "udpos": udpos.BENCHMARK,
    "wikiann": wikiann.BENCHMARK,
}

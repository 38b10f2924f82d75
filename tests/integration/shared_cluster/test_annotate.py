"""Whole runs: Parquet in, Parquet out, through real Ray, against Transformers a row at a time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from jobs.annotate.command import main
from jobs.annotate.exit_report import how_to_read
from pipeline.config.job import load_job_config
from pipeline.input.planning import plan_fragments
from pipeline.monitoring.phases import Phase
from tests.integration.conftest import forbid_ray
from tests.integration.corpus import GENRES, LABELS, NUM_LONG_ROWS, PROBLEMS, SCHEMA, Corpus
from tests.integration.runs import parts, rows_of
from tests.integration.shared_cluster.conftest import Annotated, Workbench
from tests.integration.shared_cluster.oracle_rows import MAX_NUM_TOKENS, Oracle, Values

TOLERANCE = 1e-4
SCORES = [("logits", pa.list_(pa.float32()))]
OUTPUT_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("num_tokens", pa.int32()),
        ("num_windows", pa.int32()),
        ("error", pa.string()),
        ("topic", pa.struct([("label", pa.string()), ("score", pa.float32()), *SCORES])),
        ("genres", pa.struct([("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())), *SCORES])),
        ("vector", pa.list_(pa.float32(), 32)),
        ("pooled", pa.list_(pa.float32(), 32)),
        ("loss", pa.struct([("loss", pa.float64()), ("nll", pa.float64()), ("num_tokens", pa.int32())])),
    ]
)
HEADS = ["topic", "genres", "vector", "pooled", "loss"]


RUNS = ["one_rank", "two_ranks", pytest.param("four_ranks", marks=pytest.mark.slow)]


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Annotated:
    run: Annotated = request.getfixturevalue(request.param)
    assert run.finished.code == 0, run.finished
    return run


def asked(run: Annotated, row: dict[str, Any]) -> list[str]:
    """The heads that a row of the input asks a run for; none where it names one that is not there."""
    if not is_routed(run) or row["heads"] is None:
        return HEADS
    return row["heads"] if set(row["heads"]) <= set(HEADS) else []


def is_routed(run: Annotated) -> bool:
    return run.output.name == "two-ranks-out"


def rows_in_and_out(run: Annotated, corpus: Corpus) -> Iterator[tuple[str, int, dict[str, Any], dict[str, Any]]]:
    """File, index, input and output of every row."""
    for file, table in corpus.files.items():
        if table.num_rows:
            out = rows_of(run.output, file.removesuffix(".parquet")).to_pylist()
            for index, pair in enumerate(zip(table.to_pylist(), out, strict=True)):
                yield file, index, *pair


def numbers(head: str, value: Any) -> NDArray[np.float64]:
    """What can be compared of a head's value."""
    if head == "loss":
        return np.array([value["loss"], value["nll"], value["num_tokens"]])
    return np.array(value["logits"] if head in ("topic", "genres") else value, dtype=np.float64)


def numbers_of_oracle(head: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([values.mean(), values.sum(), len(values)]) if head == "loss" else values


def test_every_row_comes_out_once_in_order_with_its_columns_intact(run: Annotated, corpus: Corpus) -> None:
    carried = ["lang", "id"] if is_routed(run) else SCHEMA.names
    for file, table in corpus.files.items():
        if table.num_rows:
            out = rows_of(run.output, file.removesuffix(".parquet"))
            assert out.select(carried).equals(table.select(carried)), file


def test_the_schema_is_the_contract(run: Annotated) -> None:
    own = [field for field in OUTPUT_SCHEMA if field.name not in SCHEMA.names]
    carried = [SCHEMA.field(name) for name in ("lang", "id")] if is_routed(run) else list(SCHEMA)
    for part in parts(run.output):
        assert pq.read_schema(run.output / part).equals(pa.schema([*carried, *own])), part


def test_each_fragment_has_one_part_under_the_folders_of_its_file(run: Annotated, corpus: Corpus) -> None:
    fragments = plan_fragments(load_job_config(run.job_file, run.overrides)).fragments
    assert list(parts(run.output)) == sorted(fragment.part_path for fragment in fragments)
    assert {str(Path(part).parent) for part in parts(run.output)} == {"news/2024", "news/2025", "web"}
    for fragment in fragments:
        assert pq.read_metadata(run.output / fragment.part_path).num_rows == fragment.num_rows


def test_values_are_those_of_transformers_a_row_at_a_time(
    run: Annotated, corpus: Corpus, expected: dict[str, list[Values]]
) -> None:
    num_compared = 0
    for file, index, row, out in rows_in_and_out(run, corpus):
        values, heads = expected[file][index], asked(run, row)
        for head in HEADS:
            if head not in heads or head not in values:
                assert out[head] is None, (file, index, head)
                continue
            np.testing.assert_allclose(
                numbers(head, out[head]),
                numbers_of_oracle(head, values[head]),
                atol=TOLERANCE,
                rtol=TOLERANCE,
                err_msg=f"{file} {index} {head}",
            )
            num_compared += 1
    assert num_compared > corpus.num_rows


def test_labels_and_scores_follow_from_the_logits(
    one_rank: Annotated, corpus: Corpus, expected: dict[str, list[Values]]
) -> None:
    for file, index, row, out in rows_in_and_out(one_rank, corpus):
        values = expected[file][index]
        if row["text"] in PROBLEMS:
            continue
        probabilities = np.exp(values["topic"]) / np.exp(values["topic"]).sum()
        assert out["topic"]["label"] == LABELS[int(values["topic"].argmax())]
        assert out["topic"]["score"] == pytest.approx(probabilities.max(), abs=TOLERANCE)
        scores = 1 / (1 + np.exp(-values["genres"]))
        assert out["genres"]["scores"] == pytest.approx(scores.tolist(), abs=TOLERANCE)
        assert out["genres"]["labels"] == [
            name for name, s in zip(GENRES.values(), scores, strict=True) if s >= 0.5
        ]


def test_bad_rows_stay_and_say_what_is_wrong_with_them(run: Annotated, corpus: Corpus) -> None:
    num_errors = 0
    for _, _, row, out in rows_in_and_out(run, corpus):
        if is_routed(run) and row["heads"] and not set(row["heads"]) <= set(HEADS):
            assert out["error"] == f"column 'heads' names 'topics', expected names among {', '.join(HEADS)}"
        elif asked(run, row) and row["text"] in PROBLEMS:
            assert out["error"].startswith(f"column 'text' {PROBLEMS[row['text']]}, expected text")
        else:
            assert out["error"] is None
        num_errors += out["error"] is not None
    assert num_errors > 8
    assert f", {num_errors} rows with errors\n" in run.finished.stdout


def test_rows_tell_their_length_before_they_were_cut(one_rank: Annotated, corpus: Corpus) -> None:
    oracle = Oracle(corpus)
    num_cut = 0
    for _, _, row, out in rows_in_and_out(one_rank, corpus):
        if row["text"] in PROBLEMS:
            assert (out["num_tokens"], out["num_windows"]) == (0, 0)
            continue
        pair_length = len(oracle.encode(row["text"], row["hypothesis"], is_cut=False))
        length = len(oracle.encode(row["text"], is_cut=False))
        assert out["num_tokens"] == pair_length + length
        # The text and the pair, each cut to one.
        assert out["num_windows"] == 2
        num_cut += length > MAX_NUM_TOKENS
    assert num_cut == NUM_LONG_ROWS


def test_a_run_says_what_it_has_done(run: Annotated, corpus: Corpus) -> None:
    num_parts = len(parts(run.output))
    assert run.finished.stdout.startswith(f"done: {corpus.num_rows} rows in {num_parts} parts in {run.output}, ")
    assert f"{num_parts}/{num_parts} fragments  {corpus.num_rows}/{corpus.num_rows} rows" in run.finished.stderr
    assert "Traceback" not in run.finished.stderr
    # Ray's own processes report at this level what they take for a fault.
    assert " E " not in run.finished.stderr
    assert not list(run.output.glob("_incomplete/*"))


def test_a_run_says_how_long_each_phase_took(run: Annotated) -> None:
    lines = run.finished.stderr.splitlines()
    told = [match for line in lines if (match := re.fullmatch(r"(\w[\w ]{0,17}?) +(\d+\.\d) s", line))]
    assert [match[1] for match in told] == list(get_args(Phase))


def test_nothing_of_a_run_is_left_on_the_cluster(two_ranks: Annotated, workbench: Workbench) -> None:
    workbench.cluster.wait_until_free()


def test_a_second_run_has_nothing_to_do(
    run: Annotated, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_ray(monkeypatch)
    before = parts(run.output)
    assert main(run.arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"nothing to do: all {len(before)} fragments are in {run.output}",
        how_to_read(str(run.output)),
    ]
    assert parts(run.output) == before

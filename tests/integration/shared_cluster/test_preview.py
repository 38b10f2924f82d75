"""Previews: a few rows of the corpus go the way of the whole job, into a folder of their own."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq

from tests.integration.corpus import Corpus
from tests.integration.runs import Finished, annotate, rows_of
from tests.integration.shared_cluster.conftest import Annotated, Workbench
from tests.unit.pipeline.input_files import tree


def preview(workbench: Workbench, job_file: Path, *options: str) -> Finished:
    logs = workbench.root / "preview-logs"
    return annotate(job_file, *options, "--address", workbench.cluster.address, logs=logs)


def test_a_preview_is_made_anew_beside_the_output(
    two_ranks: Annotated, workbench: Workbench, corpus: Corpus
) -> None:
    before = tree(two_ranks.output)
    output = Path(f"{two_ranks.output}.preview")
    options = [*two_ranks.arguments[1:], "--set=run.cost_per_hour=7.5"]

    first = preview(workbench, two_ranks.job_file, "--limit=9", *options)
    assert first.code == 0, first
    [path] = sorted(corpus.files)[:1]
    expected, found = rows_of(two_ranks.output, path.removesuffix(".parquet")).slice(0, 9), rows_of(output, "rows")
    assert found.schema == expected.schema
    # Batches are others, so numbers are rounded otherwise.
    same = ["id", "lang", "num_tokens", "num_windows", "error"]
    assert found.select(same) == expected.select(same)
    labels = [[row and row["label"] for row in table["topic"].to_pylist()] for table in (found, expected)]
    assert labels[0] == labels[1]
    lines = first.stdout.splitlines()
    assert lines[0].startswith(f"preview: 9 rows, the first of {corpus.num_rows}, in ")
    assert re.search(r"^1 +\S", first.stdout, re.MULTILINE)
    assert f"errors: {9 - found['error'].null_count} of 9 rows" in lines
    assert any(line.startswith("labels of topic: ") for line in lines)
    assert re.search(rf"the whole job: {corpus.num_rows} rows, [\d,]+ tokens, about .* tokens/s", first.stdout)
    assert "at 7.5 per hour" in " ".join(lines)

    second = preview(workbench, two_ranks.job_file, "--sample=5", *options)
    assert second.code == 0, second
    assert second.stdout.startswith(f"preview: 5 rows, drawn from all {corpus.num_rows}, in ")
    assert rows_of(output, "rows").num_rows == 5
    assert json.loads((output / "_preview/selection.json").read_bytes()) == {"rows": 5, "is_sample": True}
    assert sum(pq.read_metadata(part).num_rows for part in output.rglob("*.parquet")) == 5
    assert (output / "_SUCCESS").is_file()
    assert tree(two_ranks.output) == before

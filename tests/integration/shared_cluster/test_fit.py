"""Heads fitted as users fit them, loaded by a job; also killed while features are computed, and run again."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.demo.run import PACKAGE
from pipeline.exit_codes import INTERRUPTED
from tests.example_jobs import CONFIGS, FIT
from tests.integration.cluster import Cluster
from tests.integration.processes import wait_for
from tests.integration.runs import Finished, annotate, started
from tests.tiny_tokenizer import SENTENCES

MODEL = PACKAGE / "model"
FITTED = ("-m", "jobs.fit")
NUM_ROWS = 240
# Few rows of a part of features, so that a run can be killed between parts.
SMALL = ("features.probe_rows=100", "input.max_fragment_rows=8")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of two alphabets, and labels that tell them apart."""
    rng = random.Random(0)
    latin = [text for text in SENTENCES if text.isascii()]
    other = [text for text in SENTENCES if ord(max(text)) > 0x370]
    rows: list[dict[str, Any]] = []
    for number in range(NUM_ROWS):
        is_latin = number % 2 == 0
        text = f"{rng.choice(latin if is_latin else other)} {number}"
        rows.append({
            "text": text,
            "lang": "xx" if number % 3 else "yy",
            "topic": None if number == 7 else "latin" if is_latin else "other",
            "tags": ["latin"] if is_latin else ["other", "any"],
            "quality": float(is_latin) + rng.random() / 10,
        })  # fmt: skip
    rows[9]["text"] = " "
    path = tmp_path_factory.mktemp("labelled") / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=60)
    return path


def fit(labelled: Path, output: Path, cluster: Cluster, *overrides: str) -> Any:
    """The context of a run of the example settings."""
    values = [f"model.path={MODEL}", f"input.path={labelled}", f"output.path={output}", *SMALL, *overrides]
    arguments = [f"--set={value}" for value in values]
    logs = output.with_name(f"{output.name}-logs")
    return started(CONFIGS / FIT, *arguments, "--address", cluster.address, logs=logs, program=FITTED)


def finished(labelled: Path, output: Path, cluster: Cluster, *overrides: str) -> Finished:
    with fit(labelled, output, cluster, *overrides) as run:
        found: Finished = run.finish()
    return found


def heads_of(output: Path) -> dict[str, bytes]:
    return {
        f"{name}/{file}": (output / name / file).read_bytes()
        for name in ("topic", "tags", "quality")
        for file in ("config.json", "model.safetensors")
    }


@pytest.fixture(scope="module")
def undisturbed(labelled: Path, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("fits") / "fitted"
    found = finished(labelled, output, cluster)
    assert found.code == 0, found
    for name in ("topic", "tags", "quality"):
        assert f"{name}: " in found.stdout
    assert "topic: left out are 1 rows with an error (no_text)" in found.stderr
    assert "topic: left out are 1 rows without a label" in found.stderr
    assert "storing features in float16 moves logits by at most" in found.stderr
    return output


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_a_fitted_head_annotates(
    num_ranks: int, undisturbed: Path, labelled: Path, cluster: Cluster, tmp_path: Path
) -> None:
    job = tmp_path / "job.toml"
    heads = "".join(
        f'[heads.of_{name}]\ntask = "text-classification"\nweights = "{undisturbed / name}"\n'
        for name in ("topic", "tags", "quality")
    )
    job.write_text(
        f'[model]\npath = "{MODEL}"\ntensor_parallel_size = {num_ranks}\n[input]\npath = "{labelled}"\n'
        f'[output]\npath = "{tmp_path / "out"}"\n{heads}',
        encoding="utf-8",
    )
    found = annotate(job, "--address", cluster.address, logs=tmp_path / "logs")
    assert found.code == 0, found
    rows = [
        row for file in sorted((tmp_path / "out").glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]
    assert len(rows) == NUM_ROWS
    known = [row for row in rows if row["error"] is None and row["topic"] is not None]
    assert len(known) == NUM_ROWS - 2
    assert sum(row["of_topic"]["label"] == row["topic"] for row in known) > 0.95 * len(known)
    assert sum(sorted(row["of_tags"]["labels"]) == sorted(row["tags"]) for row in known) > 0.95 * len(known)
    errors = [abs(row["of_quality"]["value"] - row["quality"]) for row in known]
    assert sum(errors) / len(errors) < 0.2


@pytest.mark.slow
def test_vectors_that_exist_serve_as_features(undisturbed: Path, cluster: Cluster, tmp_path: Path) -> None:
    """Those of the probe, which are the vectors of an annotation job with labels."""
    settings = tmp_path / "fit.toml"
    settings.write_text(
        f'[model]\npath = "{MODEL}"\n[input]\nfeatures = "{undisturbed / "features/probe"}"\n'
        f'column = "features_0"\n[output]\npath = "{tmp_path / "fitted"}"\n'
        '[heads.topic]\nlabel = "topic"\nmin_rows = 2\n',
        encoding="utf-8",
    )
    with started(settings, "--address", cluster.address, logs=tmp_path / "logs", program=FITTED) as run:
        found = run.finish()
    assert found.code == 0, found
    assert "topic: " in found.stdout
    assert (tmp_path / "fitted/topic/model.safetensors").exists()
    assert not (tmp_path / "fitted/features").exists()


@pytest.mark.slow
def test_killed_while_features_are_computed_it_gives_the_same_heads(
    undisturbed: Path, labelled: Path, cluster: Cluster, tmp_path: Path
) -> None:
    output = tmp_path / "fitted"
    with fit(labelled, output, cluster) as run:
        deadline = time.monotonic() + 120
        while len(list(output.glob("features/kept/*.parquet"))) < 3:
            assert run.process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "no parts"
            run.look()
            time.sleep(0.02)
        run.process.kill()
    assert not (output / "topic").exists()
    found = finished(labelled, output, cluster)
    assert found.code == 0, found
    assert heads_of(output) == heads_of(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("title", ["gcs_server", "raylet/raylet", "ray::Rank"])
def test_interrupted_while_ray_starts_or_runs_it_says_so(title: str, labelled: Path, tmp_path: Path) -> None:
    """On a cluster that it starts for itself."""
    arguments = [f"model.path={MODEL}", f"input.path={labelled}", f"output.path={tmp_path / 'fitted'}", *SMALL]
    options = [*(f"--set={value}" for value in arguments), "--address", "local"]
    with started(CONFIGS / FIT, *options, logs=tmp_path / "logs", program=FITTED) as run:

        def is_there() -> bool:
            assert run.process.poll() is None, run.finish()
            return any(title in process.title for process in run.look())

        wait_for(title, is_there, timeout_s=120)
        run.process.send_signal(signal.SIGTERM)
        found = run.finish()
        wait_for("end of Ray", lambda: not any(process.is_alive for process in run.seen), timeout_s=30)
    assert found.code == INTERRUPTED, found
    assert found.stderr.endswith("interrupted: run the same command again to go on from here\n"), found
    assert "Traceback" not in found.stderr


def test_what_cannot_be_fitted_is_refused(labelled: Path, cluster: Cluster, tmp_path: Path) -> None:
    found = finished(labelled, tmp_path / "fitted", cluster, "heads.topic.label=nothing")
    assert found.code == 2, found
    assert "nothing" in found.stderr
    assert "Traceback" not in found.stderr

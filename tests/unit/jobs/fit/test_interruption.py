"""A fit that is interrupted while heads are fitted to features that exist already."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.driver.identity import weights_digest
from pipeline.exit_codes import INTERRUPTED
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

NUM_ROWS, SIZE = 6000, 32


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit whose features are the output of an annotation job."""
    root = tmp_path_factory.mktemp("fit")
    trunk = tiny_checkpoint(root / "trunk", heads=frozenset())
    rng = np.random.default_rng(0)
    labels = [f"label {number}" for number in rng.integers(8, size=NUM_ROWS)]
    vectors = pa.FixedSizeListArray.from_arrays(rng.normal(size=NUM_ROWS * SIZE).astype(np.float32), SIZE)
    columns = {"topic": labels, "vector": vectors, "error": pa.nulls(NUM_ROWS, pa.string())}
    (root / "out/_manifest").mkdir(parents=True)
    pq.write_table(pa.table(columns), root / "out/a.0a1b2c3d.00000-of-00001.parquet")
    options = {
        "task": "embedding", "pooling": "cls", "normalize": False, "level": "sentence", "dimensions": None,
        "dtype": "float32", "text": "text",
    }  # fmt: skip
    identity = {f"heads.vector.{key}": json.dumps(value) for key, value in options.items()}
    identity |= {"heads": '["vector"]', "heads.vector.trunk": weights_digest(str(trunk))}
    (root / "out/_manifest/run.json").write_text(json.dumps({"format": 2, "identity": identity}))
    (root / "out/_SUCCESS").write_text("{}")
    file = root / "fit.toml"
    file.write_text(
        f'[model]\npath = "{trunk}"\n[input]\nfeatures = "{root / "out"}"\n[output]\npath = "{root / "fitted"}"\n'
        '[heads.topic]\nlabel = "topic"\n',
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_a_message_and_its_exit_code(number: signal.Signals, settings: Path, tmp_path: Path) -> None:
    errors = tmp_path / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "jobs.fit", str(settings)], stderr=stderr)
    try:
        deadline = time.monotonic() + 120
        while "topic: " not in errors.read_text(encoding="utf-8"):
            assert process.poll() is None, errors.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "nothing is fitted"
            time.sleep(0.01)
        process.send_signal(number)
        sent = time.monotonic()
        assert process.wait(60) == INTERRUPTED
        assert time.monotonic() - sent < 20
    finally:
        process.kill()
        process.wait()
    told = errors.read_text(encoding="utf-8")
    assert told.endswith("interrupted: run the same command again to go on from here\n")
    assert "Traceback" not in told
    assert not (settings.parent / "fitted/topic").exists()

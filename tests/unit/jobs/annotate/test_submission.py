import json
from pathlib import Path

import pytest

from jobs.annotate.submission import refuse_lost_output
from pipeline.errors import ConfigError


def job_environment(**runtime_env: str) -> dict[str, str]:
    """As Ray sets it; `tests/integration/test_submission.py` sees that it does."""
    return {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": runtime_env, "metadata": {}})}


COPIED = job_environment(working_dir="gcs://_ray_pkg_0.zip")


@pytest.mark.parametrize("output", ["annotated", "a/../b", "."])
def test_outputs_in_the_copy_are_refused(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (output, str(tmp_path / output)):
        with pytest.raises(ConfigError, match=r"output\.path: .* lies in the copy .*, expected a folder"):
            refuse_lost_output(path, COPIED)


@pytest.mark.parametrize("environment", [{}, job_environment(), {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}])
def test_without_a_copy_nothing_is(environment: dict[str, str]) -> None:
    refuse_lost_output("annotated", environment)


def test_outputs_elsewhere_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    for path in (str(tmp_path / "out"), "../copy-not", "s3://bucket/annotated?region=eu-west-1"):
        refuse_lost_output(path, COPIED)

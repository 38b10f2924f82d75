import json
from pathlib import Path

import pytest

from pipeline.storage.submitted_folder import submitted_folder

COPIED = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_0.zip"}})}


@pytest.mark.parametrize("environment", [{}, {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}])
def test_without_a_submission_there_is_none(environment: dict[str, str]) -> None:
    assert submitted_folder(environment) is None


@pytest.mark.parametrize("below", [".", "a/b"])
def test_it_is_found_from_a_folder_in_it(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "working_dir_files/_ray_pkg_0"
    (copy / below).mkdir(parents=True)
    monkeypatch.chdir(copy / below)
    assert submitted_folder(COPIED) == copy

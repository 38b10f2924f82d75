from pathlib import Path

import pytest
from huggingface_hub import constants

from pipeline.config.local_models import with_local_models
from pipeline.errors import ConfigError
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint

COMMIT = "b" * 40


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An offline cache with one repository, some-org/tiny; the directory of its commit."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--some-org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return tiny_checkpoint(repository / "snapshots" / COMMIT)


def test_hub_ids_become_cached_directories(snapshot: Path) -> None:
    head = {"task": "embedding", "trunk": "some-org/tiny", "weights": "some-org/tiny"}
    job = with_local_models(job_of("some-org/tiny", {"vector": head}))
    assert job.model.path == str(snapshot)
    assert job.heads["vector"].weights == job.heads["vector"].trunk == str(snapshot)
    assert job.model.tensor_parallel_size == 1


def test_directories_stay_as_they_are(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    job = job_of(model, {"vector": {"task": "embedding"}})
    assert with_local_models(job) == job


def test_relative_paths_become_absolute_but_not_in_a_submitted_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_checkpoint(tmp_path / "here" / "model")
    monkeypatch.chdir(tmp_path)
    job = job_of("here/model", {"vector": {"task": "embedding", "trunk": "./here/model"}})
    local = with_local_models(job)
    assert local.model.path == local.heads["vector"].trunk == local.heads["vector"].weights == str(model)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "gcs://x.zip"}}')
    assert with_local_models(job) == job


def test_an_unknown_id_is_refused_with_its_field(snapshot: Path) -> None:
    with pytest.raises(ConfigError, match=r"^heads\.vector\.weights: some-org/other "):
        with_local_models(job_of("some-org/tiny", {"vector": {"task": "embedding", "weights": "some-org/other"}}))

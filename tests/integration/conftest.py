"""What several files need: a corpus, an input that changes, and a guard against Ray."""

from pathlib import Path

import pytest

from tests.integration.corpus import Corpus, write_corpus
from tests.integration.night import Night


def forbid_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if what it calls in this process starts or joins a cluster."""

    def connect(address: str) -> int:
        raise AssertionError(f"Ray was to be started at {address}")

    monkeypatch.setattr("pipeline.driver.ray_connection.connect", connect)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """After its first run."""
    night = Night(tmp_path)
    assert night.run()
    return night

import os
from pathlib import Path

import pytest

from pipeline.driver.private_files import make_session_private, make_token_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ray"


def test_a_token_that_ray_has_made_is_for_its_user_alone(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "auth_token").write_text("token", encoding="ascii")
    make_token_private()
    assert (mode(folder), mode(folder / "auth_token")) == (0o700, 0o600)
    assert (folder / "auth_token").read_text(encoding="ascii") == "token"


def test_the_folder_is_private_before_there_is_a_token(folder: Path) -> None:
    make_token_private()
    assert mode(folder) == 0o700
    assert not any(folder.iterdir())


def test_what_cannot_be_changed_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o755)

    def chmod(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", chmod)
    make_token_private()
    assert mode(folder) == 0o755


def test_a_session_is_private(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    os.chmod(session, 0o777)
    make_session_private(str(session))
    assert mode(session) == 0o700

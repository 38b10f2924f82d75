"""`make demo` on machines that lack something: one line says what, and nothing is left half done; `make lock`."""

import os
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from tests.integration.runs import ROOT

OLD_PYTHON = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, 9, 2, "final", 0); exec(sys.argv[1])' "$2"
"""


# In place of pip-compile: writes to the file that is named after -o.
PIP_COMPILE = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
printf 'aiohttp==9.0.0\\ntokenizers==0.30.1\\ntorch==2.13.0+cpu\\n' > "$2"
"""


def make(folder: Path, target: str = "demo", **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run `make` in a folder with the files that set-up needs, but without what it sets up."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    # Also none of the make that may run these tests.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "MFLAGS"))
    }
    # A port of this machine that nobody listens on, and no settings of the machine.
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    return subprocess.run(
        ["make", "--no-print-directory", target, *(f"{name}={value}" for name, value in settings.items())],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def own_lines(finished: "subprocess.CompletedProcess[str]") -> list[str]:
    """What it says on stderr, without make's own last word."""
    return [line for line in finished.stderr.splitlines() if not line.startswith("make: ***")]


def test_a_new_lock_file_keeps_the_comment_of_the_old_one(tmp_path: Path) -> None:
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name, content in (("pip", "#!/bin/sh\n"), ("pip-compile", PIP_COMPILE)):
        (programs / name).write_text(content, encoding="utf-8")
        (programs / name).chmod(0o755)
    # It is set up already, later than its files are from.
    ready = tmp_path / ".venv/.ready"
    ready.touch()
    os.utime(ready, (2**32, 2**32))
    finished = make(tmp_path, "lock")
    assert finished.returncode == 0, finished.stderr
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    comment = list(takewhile(lambda line: line.startswith("#"), lines))
    assert comment
    assert (tmp_path / "requirements.lock").read_text(encoding="utf-8").splitlines() == [
        *comment,
        "aiohttp==9.0.0",
        'tokenizers==0.30.1; python_version < "3.14"',
        "torch==2.13.0",
    ]


def test_an_old_python(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text(OLD_PYTHON.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    finished = make(tmp_path, PYTHON=str(python))
    assert finished.returncode != 0
    assert own_lines(finished) == ["Python 3.11 to 3.14 is needed, found 3.9; try: make PYTHON=python3.12"]
    assert not (tmp_path / ".venv").exists()


def test_no_python(tmp_path: Path) -> None:
    finished = make(tmp_path, PYTHON="python3-that-is-not-there")
    assert finished.returncode != 0
    [line] = own_lines(finished)
    assert line.startswith("no python3-that-is-not-there here, Python 3.11 to 3.14 is needed")


def test_a_download_that_fails(tmp_path: Path) -> None:
    finished = make(tmp_path, PYTHON=sys.executable, NEWS_S="0.2")
    if "venv failed" in finished.stderr:
        pytest.skip("this Python cannot make virtual environments")
    assert finished.returncode != 0
    assert own_lines(finished) == [
        "a download failed: pip could not get the packages (see .venv/pip.log); run make again"
    ]
    steps, num_packages = finished.stdout.splitlines(), (tmp_path / "requirements.lock").read_text().count("==")
    assert steps[0].startswith("setting up .venv: some 3 GB in a few minutes")
    assert steps[1].startswith("1 of 3: a virtual environment with Python 3.")
    assert steps[2].startswith(f"2 of 3: the {num_packages} packages of requirements.lock, by pip")
    # That pip works is told while it does.
    assert set(steps[3:]) <= {f"  found: {number} of {num_packages} packages" for number in (0, 1)}
    assert steps[3:]
    assert not (tmp_path / ".venv/.ready").exists()
    assert "Connection refused" in (tmp_path / ".venv/pip.log").read_text(encoding="utf-8")

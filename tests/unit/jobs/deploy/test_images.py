"""The images and their packages: versions, hashes, licences and minimum versions."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
DEPLOY = ROOT / "jobs/deploy"
DOCKERFILES = [DEPLOY / "Dockerfile", DEPLOY / "kubernetes/kubectl.Dockerfile"]
LOCK = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
PINNED = dict(re.findall(r"^([a-z0-9_.-]+)==(\S+) \\$", LOCK, re.MULTILINE))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    result = subprocess.run([hadolint, str(path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_user_that_is_not_root(path: Path) -> None:
    users = re.findall(r"^USER (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert users[-1] == "1000"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists()
            assert f"!{name.split('/')[0]}" in ignored


def test_every_package_has_hashes_and_no_other_index_is_named() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(PINNED) > 80
    for block in blocks:
        name, *hashes = block.strip().split(" \\\n")
        assert hashes, name
        assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}", line) for line in hashes), name
    assert not re.search(r"://|index-url|find-links", LOCK)


def test_versions_are_those_of_the_other_lock_file() -> None:
    root = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    others = dict(re.findall(r"^([a-z0-9_.-]+)==([^ ;\n]+)", root, re.MULTILINE))
    assert {name: version for name, version in PINNED.items() if others.get(name, version) != version} == {}
    # What CUDA builds of torch alone need.
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in PINNED.keys() - others.keys())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.split(r"[\[><=]", each)[0] for each in project["dependencies"]} <= PINNED.keys()


def test_each_package_has_its_licence() -> None:
    page = (DEPLOY / "LICENSES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| ((?:[a-z0-9.-]+, )*[a-z0-9.-]+) \|$", page, re.MULTILINE)
    licences = {name: licence for licence, names in rows for name in names.split(", ")}
    assert licences.pop("packages") == "licence"
    assert licences.keys() == PINNED.keys()
    for name, licence in licences.items():
        try:
            stated = metadata(name).get("License-Expression")
        except PackageNotFoundError:
            continue
        assert stated in (None, licence), name


def test_the_version_of_ray_has_the_fixes_that_are_named() -> None:
    page = (DEPLOY / "SECURITY.md").read_text(encoding="utf-8")
    fixed = re.findall(r"^\| (CVE-\d+-\d+) \| .* \| (\d+\.\d+)\.\d+ \|$", page, re.MULTILINE)
    assert dict(fixed) == {
        "CVE-2025-62593": "2.52",
        "CVE-2026-27482": "2.54",
        "CVE-2026-41486": "2.55",
        "CVE-2026-57516": "2.56",
    }
    assert "CVE-2023-48022" in page
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [ray] = [each for each in project["dependencies"] if each.startswith("ray[")]
    lowest = re.search(r">=(\d+)\.(\d+)", ray)
    assert lowest is not None
    assert all((2, int(version.split(".")[1])) <= (int(lowest[1]), int(lowest[2])) for _, version in fixed)
    assert f"needs Ray {lowest[1]}.{lowest[2]}" in page

"""Make the environment of the oracle: `python -m tests.comet.environment DIR`.

COMET needs older NumPy and protobuf than this project, so it gets a virtual environment of its own.
"""

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = (
    "setuptools<81",  # COMET asks pkg_resources for its own version
    "numpy<2",
    "protobuf<5",
    "sentencepiece==0.2.0",
    "transformers==4.46.3",
    "unbabel-comet==2.2.7",
)
TORCH = "torch==2.13.0"


def make_environment(directory: Path) -> Path:
    """Make it, or complete it; returns its interpreter."""
    python = python_of(directory)
    if not python.exists():
        venv.create(directory, with_pip=True)
    for packages in ((TORCH,), PACKAGES):  # torch alone, so that its build for CPUs is not replaced
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def python_of(directory: Path) -> Path:
    """The interpreter of an environment."""
    return directory / "bin" / "python"


if __name__ == "__main__":
    print(make_environment(Path(sys.argv[1])))

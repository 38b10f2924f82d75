"""What a run on this machine shows to other users and machines."""

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.processes import environment
from tests.integration.runs import ROOT


def test_a_local_run_listens_on_loopback_alone_and_its_files_are_private(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.integration.local_ray_host"],
        cwd=ROOT,
        env=environment(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "node": "127.0.0.1",
        "listens": ["127.0.0.1"],
        "modes": {"session": "0o700", "folder": "0o700", "token": "0o600"},
    }

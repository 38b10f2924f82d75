"""The scripts for Slurm and `ray up`, without either."""

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

from jobs.annotate.command import parse_arguments

ROOT = Path(__file__).resolve().parents[4]
DEPLOY = ROOT / "jobs/deploy"
SRUN = """#!/bin/sh
printf '%s\\n' "$*" >>"$CALLS"
case "$1" in
    ray)
        stat -c '%a' "$RAY_AUTH_TOKEN_PATH" >>"$CALLS"
        wc -c <"$RAY_AUTH_TOKEN_PATH" >>"$CALLS"
        echo "mode $RAY_AUTH_MODE" >>"$CALLS"
        exit 3
        ;;
esac
"""


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_bash_can_parse_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("#!/bin/")
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_slurm_starts_ray_with_a_token_and_ends_as_the_command_does(tmp_path: Path) -> None:
    programs = {"srun": SRUN, "scontrol": "#!/bin/sh\nprintf 'node7\\nnode8\\n'\n"}
    for name, text in programs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    slurm = {"SLURM_JOB_ID": "42", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[7-8]"}
    result = subprocess.run(
        ["bash", str(DEPLOY / "slurm.sh"), "nightly.toml"],
        cwd=tmp_path,
        env=slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3, result
    folder, command, mode, size, authentication, cleaning = (tmp_path / "calls").read_text("utf-8").splitlines()
    assert folder == "mkdir -m 700 /tmp/ray-42"
    assert cleaning == "rm -rf /tmp/ray-42"
    assert (mode, size.strip(), authentication) == ("600", "64", "mode token")
    assert not list(tmp_path.glob(".ray-token-*"))
    start, _, run = command.partition(" -- ")
    assert start == "ray symmetric-run --address node7:6379 --min-nodes 2"
    options = parse_arguments(run.removeprefix("python -m jobs.annotate ").split())
    assert (str(options.job), options.address) == ("nightly.toml", "node7:6379")


def test_ray_up_has_the_form_that_ray_wants() -> None:
    text = (DEPLOY / "ray_up.yaml").read_text(encoding="utf-8")
    schema = Path(ray.__file__).parent / "autoscaler/ray-schema.json"
    found = yaml.safe_load(text)
    jsonschema.validate(found, json.loads(schema.read_text(encoding="utf-8")))
    assert found["head_node_type"] in found["available_node_types"]
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in found[commands][-1]
    [command] = re.findall(r"RAY_AUTH_MODE=token python -m jobs\.annotate (.*)\"", text)
    assert parse_arguments(command.split()).address == "auto"

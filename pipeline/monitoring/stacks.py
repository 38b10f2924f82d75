"""Print the stacks of all processes of a job, on every node."""

import faulthandler
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.ray_actors import get_result

_PROCESS_TIMEOUT_S = 10.0
_NODE_TIMEOUT_S = 60.0


def dump_stacks(stream: TextIO = sys.stderr) -> None:
    """Write all available stacks to `stream`, a real file, and the names of nodes that do not answer."""
    print("stacks of the driver:", file=stream, flush=True)
    faulthandler.dump_traceback(file=stream, all_threads=True)
    job_id = ray.get_runtime_context().get_job_id()
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ref = _stacks_here.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote(job_id)
        try:
            stacks = get_result(ref, timeout_s=_NODE_TIMEOUT_S)
        except RayError as error:
            stacks = f"no answer: {type(error).__name__}"
        print(f"stacks on {node['NodeManagerHostname']}:\n{stacks}", file=stream, flush=True)


@ray.remote
def _stacks_here(job_id: str) -> str:
    return stacks_of_job(job_id)


def stacks_of_job(job_id: str) -> str:
    """Stacks of a job's processes on this machine, from py-spy, which is installed with Ray."""
    py_spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if py_spy is None:
        return "py-spy is not installed here"
    return "\n".join(_stack(py_spy, pid) for pid in _processes(job_id)) or "none"


def _processes(job_id: str) -> list[int]:
    """PIDs of Ray's worker processes of the job, without this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            title, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if title.startswith(b"ray::") and f"RAY_JOB_ID={job_id}".encode() in environment.split(b"\0"):
            found.append(int(entry.name))
    return sorted(found)


def _stack(py_spy: str, pid: int) -> str:
    # Otherwise it would wait forever for a stopped process.
    command = [py_spy, "dump", "--nonblocking", "--pid", str(pid)]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=_PROCESS_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"process {pid}: py-spy did not answer"
    return shown.stdout if shown.returncode == 0 else f"process {pid}: {shown.stderr.strip()}"

"""Run the demo: write the job files, annotate the sample, and show the output."""

import json
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from jobs.annotate.command import main as annotate
from jobs.demo.show import COLUMNS, NARROWEST, print_next_steps, print_output, throughput_line
from jobs.terminal.console import plain_console
from pipeline.exit_codes import DONE, FAILED
from pipeline.output.output_folder import SUCCESS

PACKAGE = Path(__file__).parent
JOB_FILE, XL_JOB_FILE = "job.toml", "xl.toml"
OUTPUT = "annotated"


def write_jobs(workspace: Path) -> tuple[Path, Path]:
    """Write the job files of the demo and of the released model with local paths; existing files are kept."""
    paths = workspace / JOB_FILE, workspace / XL_JOB_FILE
    workspace.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if not path.exists():
            text = (PACKAGE / path.name).read_text(encoding="utf-8")
            text = text.replace('"jobs/demo/', f'"{_from_here(PACKAGE)}/')
            path.write_text(text.replace('"demo/', f'"{workspace}/'), encoding="utf-8")
    return paths


def read_output(workspace: Path) -> pa.Table:
    """All parts as one table; without columns if there are none."""
    parts = sorted((workspace / OUTPUT).glob("*.parquet"))
    return ds.dataset(parts, format="parquet").to_table() if parts else pa.table({})


def run_demo(workspace: Path) -> int:
    """Annotate the sample unless it is already annotated, and show the output; returns the exit code."""
    console = plain_console(120, narrowest=NARROWEST, has_markup=True)
    job, xl_job = write_jobs(workspace)
    success = workspace / OUTPUT / SUCCESS
    is_done = success.exists()
    if not is_done:
        console.print("four heads annotate the sample, through Ray on this machine; less than a minute …")
    began = time.monotonic()
    try:
        code = annotate([str(job), "--address", "local"])
    except (OSError, RuntimeError, TimeoutError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"demo: Ray could not start or stopped: {first_line}; its logs are in /tmp/ray", file=sys.stderr)
        return FAILED
    if code != DONE:
        return code
    seconds = time.monotonic() - began
    if is_done:
        console.print("everything is already done; this is what it gave:")
    output = read_output(workspace)
    lacking = [name for name in COLUMNS if name not in output.column_names]
    if lacking:
        console.print(f"{job} has been changed: {workspace / OUTPUT} has no {', '.join(lacking)} to show")
        return DONE
    print_output(console, output)
    if not is_done:
        num_tokens = json.loads(success.read_text(encoding="utf-8"))["tokens"]
        console.print(throughput_line(num_tokens, seconds))
    print_next_steps(console, job, xl_job, workspace / OUTPUT)
    return DONE


def _from_here(path: Path) -> Path:
    """The path relative to the working directory if it lies below it, else the absolute path."""
    here = Path.cwd().resolve()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path.resolve()

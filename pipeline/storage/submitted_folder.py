"""The copy of the working directory that `ray job submit --working-dir` makes for a job, and Ray deletes later."""

import json
from collections.abc import Mapping
from pathlib import Path

# Ray sets it in the jobs that it runs for `ray job submit`.
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_COPIES = "working_dir_files"


def submitted_folder(environment: Mapping[str, str]) -> Path | None:
    """The copy that this process runs in; None without one."""
    runtime_env = json.loads(environment.get(_JOB_CONFIG, "{}")).get("runtime_env", {})
    if "working_dir" not in runtime_env:
        return None
    here = Path.cwd()
    # The job's command may have gone into a folder of it.
    return next((folder for folder in (here, *here.parents) if folder.parent.name == _COPIES), here)

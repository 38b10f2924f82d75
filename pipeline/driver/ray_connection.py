"""Start Ray on this machine or join a cluster, and explain errors of Ray."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
from ray._private.worker import global_worker
from ray.exceptions import RayError, RayTaskError

from pipeline.config.job import ModelSection
from pipeline.driver.cluster_address import LOCAL
from pipeline.driver.local_ray import LOOPBACK, fewer_processes
from pipeline.driver.private_files import make_session_private, make_token_private
from pipeline.driver.signal_handlers import kept_signal_handlers
from pipeline.errors import ConfigError, JobError, PipelineError
from pipeline.monitoring.cluster_look import look_at_cluster
from pipeline.monitoring.cluster_state import ClusterState

_GO_ON = "finished parts are kept, run the same command again to go on from there"
_LOCAL_REMEDY = (
    "expected a writable home folder (HOME, for Ray's token) and a writable folder with a short path for Ray's "
    "sessions (RAY_TMPDIR, by default /tmp), whose ray/session_latest/logs say more if Ray got that far"
)
_CLUSTER_REMEDY = (
    "expected a cluster with this version of Ray and Python that has a node on this machine; from elsewhere use "
    "`ray job submit`"
)
# In a local run the ranks occupy all cores; these are for tasks that read, tokenize and write.
_NUM_TASK_CPUS = 2
# Of a busy machine, as all of its resources are free.
_LOCAL_PLACEMENT_TIMEOUT_S = 60.0


@contextmanager
def ray_cluster(address: str) -> Iterator[int]:
    """Connect to Ray during the block; yields the number of CPU cores for ranks on each node.

    Raises:
        ConfigError: Ray cannot be started, or the cluster cannot be joined.
        JobError: a process that the run depends on was lost, or raised an unexpected error.
    """
    with kept_signal_handlers():
        try:
            with fewer_processes() if address == LOCAL else nullcontext():
                yield connect(address)
        except RayError as error:
            raise JobError(_explanation(error)) from None
        finally:
            ray.shutdown()


def _explanation(error: RayError) -> str:
    """Why a run ended and how to continue; prints the traceback of an unexpected error."""
    if isinstance(error, RayTaskError):
        if isinstance(error.cause, PipelineError):
            return str(error.cause)
        traceback.print_exception(error)
        return f"an unexpected error, see its traceback above; {_GO_ON}"
    # If an actor could not be created, the message says why.
    return f"a process that the run depends on was lost; {_GO_ON}\n{type(error).__name__}: {error}"


def connect(address: str) -> int:
    """Join the cluster at `address` (from `reachable_cluster`), or start Ray for this process if it is "local".

    Returns the number of CPU cores for ranks on each node. Raises ConfigError if that fails.
    """
    # Ray Data would log progress to the terminal; its log files are complete.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address == LOCAL:
        # It would only say that token authentication is on.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        cores = len(os.sched_getaffinity(0))
        _start_ray(
            _LOCAL_REMEDY,
            address=address,
            num_cpus=cores + _NUM_TASK_CPUS,
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
        )
        make_session_private(_session_folder())
        return cores
    _start_ray(_CLUSTER_REMEDY, address=address)
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    # Head nodes are often started without CPUs, so that nothing runs on them.
    return max(1, min((n for n in cpus if n), default=1) - 1)


def cluster_at(address: str) -> tuple[ClusterState, int]:
    """The state of the cluster at an address, and the number of CPU cores for ranks on each node."""
    with ray_cluster(address) as cores:
        return look_at_cluster(), cores


def placement_timeout_s(model: ModelSection, address: str) -> float | None:
    """How long to wait for room: as configured, else as long as it takes, except on a cluster of its own."""
    if model.placement_timeout_s is None and address == LOCAL:
        return _LOCAL_PLACEMENT_TIMEOUT_S
    return model.placement_timeout_s


def job_id() -> str:
    """Ray's id of this job, which is in the names of its logs."""
    found: str = ray.get_runtime_context().get_job_id()
    return found


def _session_folder() -> str:
    node = global_worker.node
    assert node is not None
    folder: str = node.get_session_dir_path()
    return folder


def _start_ray(remedy: str, *, address: str, **options: Any) -> None:
    """Call `ray.init`; any error becomes a ConfigError of one line."""
    make_token_private()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **options)
    except Exception as error:  # Ray raises errors of many types here, none of them documented
        ray.shutdown()
        reason = " ".join(str(error).split()) or type(error).__name__
        found = f"found that Ray does not start ({type(error).__name__}: {reason})"
        raise ConfigError(f"--address {address}: {found}; {remedy}") from None
    # Again, as Ray may have written a token.
    make_token_private()

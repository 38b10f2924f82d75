"""Check Python, memory, disk and ports before the demo loads anything, with the standard library only.

Each check returns a message of one line, or "" if it passes.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

GIB = 2**30
MIN_MEMORY_BYTES = int(1.5 * GIB)
"""Measured, with a margin: Ray's own processes, a rank and two tasks."""
MIN_DISK_BYTES = GIB // 4
NUM_PORTS = 24
"""Ports that Ray and torch.distributed listen on at the same time, with a margin."""


def first_problem(output: Path) -> str:
    """The message of the first check that fails; "" if the demo can run."""
    for problem in (python_problem(), memory_problem(), disk_problem(output), port_problem()):
        if problem:
            return problem
    return ""


def python_problem(version: tuple[int, ...] = tuple(sys.version_info[:2])) -> str:
    """Python 3.11 to 3.14 are those that Ray and torch both support."""
    if (3, 11) <= version < (3, 15):
        return ""
    found = ".".join(map(str, version))
    return f"Python 3.11 to 3.14 is needed, found {found}; try: make PYTHON=python3.12 demo"


def memory_problem() -> str:
    """Check the memory that is free in the machine, in its container, and by the limit of this process."""
    free = min(_free_in_machine(), _free_in_container(), _address_space())
    if free >= MIN_MEMORY_BYTES:
        return ""
    return (
        f"too little memory: {MIN_MEMORY_BYTES / GIB:.1f} GiB must be free, found {max(free, 0) / GIB:.1f}; "
        "end other programs, or raise the limit of the container"
    )


def disk_problem(output: Path) -> str:
    """Check the disk space for the output and for Ray's logs."""
    for place in (output, Path("/tmp")):
        parent = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
        free = shutil.disk_usage(parent).free
        if free < MIN_DISK_BYTES:
            return (
                f"no room on disk: {parent} needs {MIN_DISK_BYTES // 2**20} MiB, found {free // 2**20}; make room"
            )
    return ""


def port_problem() -> str:
    """Check that `NUM_PORTS` sockets can listen on loopback at once and be reached."""
    with ExitStack() as sockets:
        for number in range(NUM_PORTS):
            try:
                listener = sockets.enter_context(socket.socket())
                listener.bind(("127.0.0.1", 0))
                listener.listen(1)
            except OSError as error:
                return (
                    f"no free port: {NUM_PORTS} are needed on 127.0.0.1, found {number} ({error.strerror}); "
                    "end programs that hold ports"
                )
        try:
            sockets.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        except OSError as error:
            return f"no network: 127.0.0.1 cannot be reached ({error.strerror}); allow loopback in the sandbox"
    return ""


def _free_in_machine() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_container() -> int:
    """Free memory by control groups, version 2 or 1; page cache counts as free."""
    for limit_file, usage_file, cache_key in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "inactive_file"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        try:
            limit = Path(limit_file).read_text(encoding="ascii").strip()
            usage = int(Path(usage_file).read_text(encoding="ascii"))
            statistics = Path(limit_file).with_name("memory.stat").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        cache = sum(int(line.split()[1]) for line in statistics if line.split()[0] == cache_key)
        return sys.maxsize if limit == "max" else int(limit) - usage + cache
    return sys.maxsize


def _address_space() -> int:
    """The limit of the address space (`ulimit -v`); what is already mapped is negligible."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit

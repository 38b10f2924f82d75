"""How the workers of `pytest -n` share out the tests, on one thread each; and tests without the oracle."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import pytest
import torch
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

IN_ONE_WORKER = ("tests/integration/ray_here", "tests/integration/shared_cluster", "tests/parity/tasks")
"""Folders whose files share what takes long to make."""
FIRST = ("tests/integration/", "tests/parity/tasks/")
"""What takes longest, so that no worker is left alone with it at the end."""


class _SchedulingByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist's class is Any
    """A file is run by one worker, and so are all files of a folder of `IN_ONE_WORKER`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return next((folder for folder in IN_ONE_WORKER if file.startswith(f"{folder}/")), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return _SchedulingByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


if "PYTEST_XDIST_WORKER" in os.environ:
    # More workers than CPUs: threads of one would only wait for those of another, and so would Ray's workers.
    torch.set_num_threads(1)
    os.environ.setdefault("RAY_worker_niceness", "0")


class _SkippingFinder:
    """Skips tests, or files of tests, at their import of Transformers, which has no wheels for each Python."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == "transformers":
            pytest.skip("the oracle, transformers==4.46.3, is not installed", allow_module_level=True)


if find_spec("transformers") is None:
    sys.meta_path.insert(0, _SkippingFinder)  # type: ignore[arg-type]

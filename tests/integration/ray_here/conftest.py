"""One cluster, which the process of the tests itself has started, for actors and datasets of theirs.

Made once in each worker of `pytest -n`, so one worker runs this folder: see `tests/conftest.py`.
"""

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="package", autouse=True)
def cluster() -> Iterator[None]:
    """Of some CPUs, and of what it takes for a GPU."""
    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()

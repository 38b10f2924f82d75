"""Links in an output, on a real disk: they go like the parts whose names they have, and are never followed."""

from pathlib import Path

import pytest
from pyarrow import fs

from tests.simulation.drivers import Input, Run, changed, content_of, run_driver, table_of
from tests.simulation.world import World

FILE = Input("a.parquet", "1", "m", 2)
LEASE_TIMEOUT_S = 60


@pytest.mark.parametrize("is_restart", [False, True])
def test_a_link_in_place_of_an_old_part_goes_with_it(is_restart: bool, tmp_path: Path) -> None:
    root, other = tmp_path / "out", tmp_path / "other.parquet"
    other.write_bytes(b"of somebody else")
    run_driver(World(0), fs.LocalFileSystem(), Run((FILE,)), str(root), LEASE_TIMEOUT_S)
    old = sorted(root.glob("*.parquet"))[0]
    old.unlink()
    old.symlink_to(other)
    run = Run((changed(FILE, version="2"),), is_restart=is_restart)
    run_driver(World(0), fs.LocalFileSystem(), run, str(root), LEASE_TIMEOUT_S)
    found = {path.name: path.read_bytes() for path in root.glob("*.parquet")}
    assert found == {f.part_path: content_of(f, "a") for f in table_of(run.files)}
    assert other.read_bytes() == b"of somebody else"

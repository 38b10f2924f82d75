"""A few hundred histories of the simulation, and that it would notice if a guard were missing."""

from collections.abc import Callable

import pytest

from pipeline.output.inventory import Inventory
from pipeline.storage import local_files
from pipeline.storage.local_files import WORKSPACES, LocalFiles
from tests.simulation.history import live_through

NUM_HISTORIES = {"disk": 120, "store": 120}
NUM_TRIES = 400


@pytest.mark.parametrize("where", NUM_HISTORIES)
def test_every_history_ends_as_if_nothing_had_happened(where: str) -> None:
    for seed in range(NUM_HISTORIES[where]):
        try:
            live_through(seed, on_disk=where == "disk")
        except AssertionError as error:
            raise AssertionError(f"history {seed} on {where}: {error}") from error


def finds_a_violation() -> bool:
    for seed in range(NUM_TRIES):
        try:
            live_through(seed, on_disk=True)
        except AssertionError:
            return True
    return False


def without_a_fence(patch: pytest.MonkeyPatch) -> None:
    """Whoever takes over completes the moves of the other drivers, and leaves them their workspaces."""

    def take_over(self: LocalFiles) -> None:
        folder = f"{self.root}/{WORKSPACES}"
        for name in local_files.names_in(folder):
            if name != self.claim:
                list(self._complete_moves(f"{folder}/{name}"))

    patch.setattr(LocalFiles, "take_over", take_over)


def without_flushing(patch: pytest.MonkeyPatch) -> None:
    """Deletions that a crash may undo after what follows from them."""
    patch.setattr(LocalFiles, "sync", lambda self, paths: None)


def without_staging_what_was_touched(patch: pytest.MonkeyPatch) -> None:
    """Parts of a touched file that replace the old ones one at a time."""

    def has_parts_to_replace(self: Inventory, file_index: int) -> bool:
        path = self.table.files[file_index].relative_path.removesuffix(".parquet")
        return path in self.other_parts

    patch.setattr(Inventory, "has_parts_to_replace", has_parts_to_replace)


@pytest.mark.parametrize("mutate", [without_a_fence, without_flushing, without_staging_what_was_touched])
def test_what_guards_the_output_is_missed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    assert finds_a_violation()

"""Which fragments a retry of failed ones takes."""

import numpy as np

from pipeline.fragments import Cut
from pipeline.input.fragment_table import FileCuts, FragmentSelection, FragmentTable, PlannedFile
from pipeline.output.increment import Increment


def test_of_a_staged_file_all_is_retried_that_is_not_done() -> None:
    """A damaged file that is restored has another modification time, so its other parts are staged, too."""
    cuts = FileCuts.of([Cut((0,), 0, 10 * index, 10, 100) for index in range(3)])
    files = [PlannedFile(f"/in/{name}", name, 1000, "0" * 16, "m") for name in ("new", "restored", "other")]
    table = FragmentTable([(file, cuts) for file in files])
    todo = FragmentSelection(table, np.array([0, 1, 2, 3, 4, 5, 6]))
    increment = Increment((), (), (), (), (), todo, frozenset({"restored", "other"}))
    failed = {table[1].part_path, table[4].part_path}
    retried = [(fragment.relative_path, fragment.index) for fragment in increment.to_retry(failed)]
    assert retried == [("new", 1), ("restored", 0), ("restored", 1), ("restored", 2)]

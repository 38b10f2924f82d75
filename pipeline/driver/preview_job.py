"""A job over a few rows of another job's input: the rows are copied to a small file, and annotated as any input.

A copy, as parts are whole fragments: rows that are drawn over all files would be a fragment and a batch each. All
checks and stages are those of the job itself.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pipeline.arrays.casting import cast_column
from pipeline.config.job import JobConfig
from pipeline.driver.row_selection import SelectedRows, first_rows, read_rows, sampled_rows
from pipeline.errors import ConfigError, FragmentError, InputError
from pipeline.input.planning import Plan
from pipeline.output.lease import LEASE, held_lease
from pipeline.output.manifest import RUN
from pipeline.output.output_folder import RESTART, SUCCESS, OutputFolder
from pipeline.output.output_path import open_output
from pipeline.output.part_writer import encode_part
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import with_suffix
from pipeline.storage.printable import number_of

ROWS = "_preview/rows"
"""The rows of a preview. Without the suffix of Parquet, so that no reader takes them for a part."""
_SELECTION = "_preview/selection.json"
"""Marks a folder as that of a preview; says which rows there are."""


@dataclass(frozen=True)
class Selection:
    """Which rows a preview is of: the first ones, or a sample over all files."""

    num_rows: int
    is_sample: bool

    def of(self, plan: Plan) -> list[SelectedRows]:
        """The rows of a plan."""
        select = sampled_rows if self.is_sample else first_rows
        return select(plan.fragments, self.num_rows)


@dataclass(frozen=True)
class PreviewJob:
    """A job whose rows have been copied, the number of rows, and why others could not be read."""

    job: JobConfig
    num_rows: int
    unreadable: tuple[str, ...]


def write_preview_rows(
    job: JobConfig, plan: Plan, selection: Selection, tell: Callable[[str], None]
) -> PreviewJob:
    """Copy the selected rows of a job to its output, the preview's own, and return the job over them.

    What an earlier preview has left in the folder is deleted. Raises ConfigError if the folder is that of another
    output, or in use, and InputError if there are no rows.
    """
    output = open_output(job.output.path)
    _require_preview_folder(output, job.output.path)
    found = list(read_rows(selection.of(plan), plan.read_schema, plan.filesystem))
    tables = [table for table in found if not isinstance(table, FragmentError)]
    unreadable = tuple(str(error) for error in found if isinstance(error, FragmentError))
    if not tables:
        raise InputError(
            f"input.path: found no row that can be read among {number_of(plan.num_rows, 'row')}, expected at "
            f"least one for a preview; check the files{''.join(f'; {reason}' for reason in unreadable[:1])}"
        )
    rows = _as_carried(pa.concat_tables(tables).combine_chunks(), plan)
    with held_lease(output, job.output.lease_timeout_s, tell) as held:
        held.put(_SELECTION, json.dumps({"rows": rows.num_rows, "is_sample": selection.is_sample}).encode())
        _throw_away(held)
        held.put(ROWS, encode_part(rows, job.output.compression))
    return PreviewJob(_job_over(job, plan, rows.num_rows), rows.num_rows, unreadable)


def _job_over(job: JobConfig, plan: Plan, num_rows: int) -> JobConfig:
    assert job.input.max_fragment_rows != "auto", "the plan is made with it"
    rows_per_fragment = job.input.max_fragment_rows
    if isinstance(job.model.replicas, int):
        # As many fragments as shard groups, so that all of them work, as in the whole job.
        rows_per_fragment = min(rows_per_fragment, -(-num_rows // job.model.replicas))
    changes = {
        "path": (with_suffix(job.output.path, f"/{ROWS}"),),
        # Columns of Hive partitions have been copied like others.
        "hive": False,
        "columns": tuple(plan.carried_schema.names),
        "max_fragment_rows": rows_per_fragment,
    }
    return job.model_copy(update={"input": job.input.model_copy(update=changes)})


def _as_carried(table: pa.Table, plan: Plan) -> pa.Table:
    """The columns with the types that they are written with, as far as they are carried."""
    carried = {field.name: field for field in plan.carried_schema}
    fields = [carried.get(field.name, field) for field in plan.read_schema]
    columns = [cast_column(table[field.name], field.type) for field in fields]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _require_preview_folder(output: OutputFolder, path: str) -> None:
    if output.read(_SELECTION) is not None:
        return
    if output.read(RUN) is not None or next(output.list_files(), None) is not None:
        raise ConfigError(
            f"--preview-output: {without_secret(path)} holds files that are not of a preview, expected a new "
            "folder, or that of an earlier preview, which is thrown away; choose another"
        )


def _throw_away(held: OutputFolder) -> None:
    """Delete what a preview has left, but for its mark and the lease, which are needed until the end."""
    held.delete(SUCCESS)
    held.delete_folder(RESTART)
    kept = (f"{LEASE}/", _SELECTION)
    for path in [path for path, _ in held.list_files() if not path.startswith(kept)]:
        held.delete(path)

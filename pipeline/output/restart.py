"""Restart an output: compute everything again next to it, and replace it once the new one is complete.

The new output is written to `_restart/`, hidden from readers, with its own manifest. Once it is complete, the old
parts are deleted, and then the new ones are moved in. If that is interrupted, the next run continues. Parts of the
two are never mixed.
"""

from collections.abc import Mapping

from pipeline.errors import LeaseLostError
from pipeline.fragments import PartName
from pipeline.output.lease import LEASE
from pipeline.output.manifest import FILES, PARTS, RUN, STAGED_RECORDS, Manifest
from pipeline.output.other_run import refuse_other_run
from pipeline.output.output_folder import FAILED, MANIFEST, RESTART, STAGED, SUCCESS, OutputFolder
from pipeline.storage.threads import call_in_threads

CLEARED = f"{MANIFEST}/old_output_is_deleted"


def folder_of_run(output: OutputFolder, identity: Mapping[str, str], *, is_restart: bool) -> OutputFolder:
    """The folder of a run with this identity: the output, or its restart. Writes nothing.

    Raises ConfigError if the output belongs to another run and is not to be replaced.
    """
    found, waiting = _identity(output), _identity(output.restarted)
    if waiting is not None and _is_complete(output.restarted):
        found, waiting = waiting, None
        if found == dict(identity):
            # The restart only has to replace the output.
            return output
    if waiting == dict(identity):
        return output.restarted
    if found is None:
        Manifest(output).refuse_foreign_files()
        return output
    if is_restart:
        return output.restarted
    if found != dict(identity) and not Manifest(output).can_be_taken_over():
        refuse_other_run(output.root, found, identity)
    return output


def begin_run(
    output: OutputFolder, identity: Mapping[str, str], *, is_restart: bool, max_fragment_rows: int | None = None
) -> OutputFolder:
    """Begin or continue a run, after completing an interrupted replacement; returns its folder.

    `max_fragment_rows` is as of `Manifest.begin`.

    Raises ConfigError as `folder_of_run`, or if the folder has Parquet files but no run.
    """
    folder = folder_of_run(output, identity, is_restart=is_restart)
    waiting = _identity(output.restarted)
    if waiting is not None and _is_complete(output.restarted):
        replace_output(output)
    elif waiting is None or (is_restart and waiting != dict(identity)):
        # The remains of a finished restart, or a restart that is given up for another one.
        output.delete_folder(RESTART)
    Manifest(folder).begin(identity, max_fragment_rows=max_fragment_rows)
    return folder


def unfinished_restart(output: OutputFolder, folder: OutputFolder) -> str | None:
    """A message if the output has an unfinished restart of another run, or None."""
    if folder == output and _identity(output.restarted) is not None:
        return (
            f"{output.root}/{RESTART} holds an unfinished restart with another configuration; run that one again "
            "to go on with it, or remove that folder to give it up"
        )
    return None


def replace_output(output: OutputFolder) -> None:
    """Replace the output by the complete one in `_restart`; other files in the folder stay.

    Raises LeaseLostError where another driver has done so.
    """
    new = output.restarted
    run, success = new.read(RUN), new.read(SUCCESS)
    if run is None or success is None:
        # While this driver was paused, the next one has replaced the output.
        raise LeaseLostError(output.root)
    if new.read(CLEARED) is None:
        output.delete(SUCCESS)
        output.sync([SUCCESS])
        _delete_old(output)
        new.put(CLEARED, b"")
    # Never deleted, as parts without it belong to no run: a deletion that lands late would end the output.
    output.put(RUN, run)
    moves = []
    for path, _ in new.list_files():
        if path.startswith((f"{PARTS}/", f"{FILES}/")):
            moves.append((path, path))
        elif (part_path := new.part_in_place(path)) is not None:
            moves.append((path, part_path))
    call_in_threads(lambda move: output.move(f"{RESTART}/{move[0]}", move[1]), moves)
    output.sync_all()
    output.put(SUCCESS, success)
    # Without it, what is left of the folder is not a restart.
    new.delete(RUN)
    output.delete_folder(RESTART)


def _delete_old(output: OutputFolder) -> None:
    parts = (path for path, _ in output.list_files(has_links=True) if PartName.parse(path) is not None)
    call_in_threads(output.delete, (path for path in parts if not path.startswith("_")))
    made = Manifest(output).made_folders()
    output.delete_empty_folders(kept=[LEASE], made=made)
    for folder in (PARTS, FILES, STAGED_RECORDS, FAILED, STAGED):
        output.delete_folder(folder)
    output.sync([PARTS])


def _identity(folder: OutputFolder) -> dict[str, str] | None:
    return Manifest(folder).identity()


def _is_complete(folder: OutputFolder) -> bool:
    return folder.read(SUCCESS) is not None

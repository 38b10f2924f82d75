"""`--verify`: print whether the parts of an output are as they were written."""

from pipeline.errors import InputError
from pipeline.exit_codes import DONE, PARTLY
from pipeline.monitoring.messages import Messages
from pipeline.output.manifest import Manifest
from pipeline.output.output_path import open_output
from pipeline.output.verify import verify_output
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import number_of, printable

_MAX_SHOWN = 20


def print_verification(path: str, messages: Messages) -> int:
    """Verify the output at a path or URI; returns the exit code, `PARTLY` where a part differs.

    Raises InputError where there is no output.
    """
    folder, name = open_output(path), without_secret(path)
    if Manifest(folder).identity() is None:
        raise InputError(f"output.path: found no output in {name}, expected one to verify; check the path")
    found = verify_output(folder)
    for difference in found.differences[:_MAX_SHOWN]:
        messages.error(f"differs: {printable(difference.part_path)}: {difference.reason}")
    if len(found.differences) > _MAX_SHOWN:
        messages.error(f"and {len(found.differences) - _MAX_SHOWN:,} more")
    messages.result(
        f"verified: {number_of(found.num_parts, 'part')} of {number_of(found.num_bytes, 'byte')} in {name}; "
        f"{number_of(len(found.differences), 'is', 'are')} not as recorded"
    )
    if found.differences:
        messages.error("delete what differs, then run the job again: it computes it anew")
    return PARTLY if found.differences else DONE

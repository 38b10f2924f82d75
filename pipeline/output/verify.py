"""Hold the bytes of every part of an output against the size and SHA-256 in its record."""

import hashlib
from dataclasses import dataclass

from pipeline.fragments import PartName
from pipeline.output.manifest import PARTS, Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.printable import number_of
from pipeline.storage.threads import map_in_threads


@dataclass(frozen=True)
class Difference:
    """A part that is not as its record says, and how."""

    part_path: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """What was found: `num_parts` and `num_bytes` of what was read, and what differs, in the order of paths."""

    num_parts: int
    num_bytes: int
    differences: tuple[Difference, ...]


def verify_output(folder: OutputFolder) -> Verification:
    """Read every part in place and its record. Raises OutputError where one cannot be read."""
    in_place = {part for path, _ in folder.list_files() if (part := _part_at(folder, path)) is not None}
    recorded = {path.removeprefix(f"{PARTS}/").removesuffix(".json") for path, _ in folder.list_files(PARTS)}
    results = list(map_in_threads(lambda path: _check(folder, path), sorted(in_place | recorded)))
    return Verification(
        num_parts=len(in_place),
        num_bytes=sum(num_bytes for num_bytes, _ in results),
        differences=tuple(difference for _, found in results for difference in found),
    )


def _part_at(folder: OutputFolder, path: str) -> str | None:
    part_path = folder.part_in_place(path)
    return part_path if part_path is not None and PartName.parse(part_path) is not None else None


def _check(folder: OutputFolder, part_path: str) -> tuple[int, list[Difference]]:
    """Bytes read for a part, and what is wrong with it."""
    record = Manifest(folder).part(part_path)
    data = folder.read(folder.path_in_place(part_path))
    if record is None:
        reason = "it has no record that can be read"
    elif data is None:
        reason = "it is not there"
    else:
        reason = _difference(data, record.num_bytes, record.sha256)
    return len(data or b""), [Difference(part_path, reason)] if reason else []


def _difference(data: bytes, num_bytes: int, sha256: str) -> str:
    if len(data) != num_bytes:
        return f"found {number_of(len(data), 'byte')}, expected {num_bytes:,} as recorded"
    return "" if hashlib.sha256(data).hexdigest() == sha256 else "its bytes are not those that were recorded"

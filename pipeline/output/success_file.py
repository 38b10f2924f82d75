"""`_SUCCESS`: written last, exists while the output is complete, and is deterministic."""

from collections.abc import Mapping
from typing import Any

from pipeline.output.increment import removed_stems
from pipeline.output.inventory import Inventory, errors_by_kind
from pipeline.output.json_records import encode_json
from pipeline.output.manifest import FORMAT, Manifest, run_digest
from pipeline.output.output_folder import SUCCESS


def write_success_file(inventory: Inventory, identity: Mapping[str, str]) -> None:
    """Write sums over all input files, and over removed files whose parts are kept, unless they are there.

    `run` is a digest of the identity. `bytes` are of the part files. Outputs of format 1 have fewer sums.
    """
    removed = removed_stems(inventory)
    values: dict[str, Any] = {
        "format": FORMAT if inventory.has_all_counts else 1,
        "run": run_digest(identity),
        "files": len(inventory.table.files),
        "parts": len(inventory.table),
        "rows": int(inventory.table.num_rows.sum()),
        "bytes": int(inventory.num_bytes.sum()),
        "errors": int(inventory.num_errors.sum()),
        "tokens": int(inventory.num_tokens.sum()),
        **_counts_of_format_2(inventory),
        "removed": {
            "files": len(removed),
            "parts": sum(len(inventory.other_parts.get(stem, ())) for stem in removed),
            "rows": sum(_num_rows(inventory, stem) for stem in removed),
        },
    }
    data = encode_json(values)
    if inventory.folder.read(SUCCESS) != data:
        inventory.folder.sync_all()
        inventory.folder.put(SUCCESS, data)


def _counts_of_format_2(inventory: Inventory) -> dict[str, Any]:
    if not inventory.has_all_counts:
        return {}
    windows, kinds = int(inventory.num_windows.sum()), errors_by_kind(inventory.errors.sum(axis=0))
    return {"windows": windows, "errors_by_kind": kinds}


def _num_rows(inventory: Inventory, stem: str) -> int:
    """The number of rows in the parts of a removed file, without parts that have no record."""
    file = inventory.other_files.get(stem)
    if file is not None:
        return file.num_rows
    manifest = Manifest(inventory.folder)
    records = [manifest.part(name.path) for name in inventory.other_parts.get(stem, ())]
    return sum(record.num_rows for record in records if record is not None)

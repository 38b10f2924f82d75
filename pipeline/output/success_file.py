"""`_SUCCESS`: written last and there while the output is complete; the same bytes for the same output."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.output.increment import removed_stems
from pipeline.output.inventory import Inventory
from pipeline.output.manifest import FORMAT, Manifest
from pipeline.output.output_folder import SUCCESS


def summary(
    inventory: Inventory, identity: Mapping[str, str], failed_files: Collection[str] = ()
) -> dict[str, Any]:
    """Sums over all input files, and over removed files whose parts are kept.

    `run` is a digest of the identity. `bytes` are of the part files.
    """
    removed = removed_stems(inventory, failed_files)
    return {
        "format": FORMAT,
        "run": hashlib.sha256(json.dumps(sorted(identity.items())).encode()).hexdigest(),
        "files": len(inventory.table.files),
        "parts": len(inventory.table),
        "rows": int(inventory.table.num_rows.sum()),
        "bytes": int(inventory.num_bytes.sum()),
        "errors": int(inventory.num_errors.sum()),
        "tokens": int(inventory.num_tokens.sum()),
        "removed": {
            "files": len(removed),
            "parts": sum(len(inventory.other_parts.get(stem, ())) for stem in removed),
            "rows": sum(_num_rows(inventory, stem) for stem in removed),
        },
    }


def write_summary(inventory: Inventory, values: Mapping[str, Any]) -> None:
    """Write `_SUCCESS`, unless it is there with the same content."""
    data = (json.dumps(values, indent=1) + "\n").encode()
    if inventory.folder.read(SUCCESS) != data:
        inventory.folder.put(SUCCESS, data)


def _num_rows(inventory: Inventory, stem: str) -> int:
    """Number of rows in the parts of a removed file; parts without a record count as none."""
    file = inventory.other_files.get(stem)
    if file is not None:
        return file.num_rows
    manifest = Manifest(inventory.folder)
    records = [manifest.part(name.path) for name in inventory.other_parts.get(stem, ())]
    return sum(record.num_rows for record in records if record is not None)

"""Read the index of a checkpoint in several files: which file holds which tensor."""

from pathlib import Path

from model.checkpoints.errors import CheckpointError
from model.checkpoints.json_files import read_json_object, shown

# The longest name of a file that common file systems have, in bytes.
_MAX_NAME_BYTES = 255


def read_index(index: Path) -> dict[str, str]:
    """Map each tensor name of an index to its file, which must be beside the index.

    Raises CheckpointError: the index is damaged, or names a path outside its directory.
    """
    weight_map = read_json_object(index, has_unique_keys=True).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{index} must hold a JSON object with 'weight_map', which maps tensors to files, found "
            f"{shown(weight_map)}; download it again"
        )
    for name, file in weight_map.items():
        if not isinstance(file, str) or not _is_file_name(file):
            raise CheckpointError(
                f"{index} must name files of its own directory, found {shown(file)} for tensor {shown(name)}; "
                "download it again"
            )
    return weight_map


def _is_file_name(name: str) -> bool:
    is_plain = name not in ("", "..") and Path(name).name == name and "\0" not in name
    return is_plain and len(name.encode()) <= _MAX_NAME_BYTES

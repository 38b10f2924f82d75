"""A simulated object store with what the product asks of Arrow's file systems."""

import posixpath
from types import SimpleNamespace
from typing import Any

from pyarrow import fs

from tests.simulation.world import World


class Store:
    """Objects by path. A write that is broken off is completed with what there is, as Arrow's streams do."""

    type_name = "s3"

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects: dict[str, bytes] = {}

    def open_output_stream(self, path: str, compression: str | None) -> "Upload":
        return Upload(self, path)

    def open_input_stream(self, path: str, compression: str | None) -> "Download":
        self.world.operation("get")
        if path not in self.objects:
            raise FileNotFoundError(path)
        return Download(self.objects[path])

    def get_file_info(self, asked: Any) -> Any:
        self.world.operation("head" if isinstance(asked, str) else "list")
        if isinstance(asked, str):
            return self._info(asked)
        below = [path for path in self.objects if path.startswith(f"{asked.base_dir}/")]
        if asked.recursive:
            return [self._info(path) for path in below]
        size = len(asked.base_dir) + 1
        return [
            self._info(asked.base_dir + "/" + name) for name in sorted({p[size:].split("/")[0] for p in below})
        ]

    def copy_file(self, old: str, new: str) -> None:
        self.world.operation("copy")
        if old not in self.objects:
            raise FileNotFoundError(old)
        self.put(new, self.objects[old])

    def delete_file(self, path: str) -> None:
        self.world.operation("delete")
        self.objects.pop(path, None)
        self.world.changed()

    def delete_dir(self, path: str) -> None:
        for name in [name for name in self.objects if name.startswith(f"{path}/")]:
            self.delete_file(name)

    def put(self, path: str, data: bytes) -> None:
        self.objects[path] = data
        self.world.changed()

    def _info(self, path: str) -> Any:
        data = self.objects.get(path)
        is_folder = any(name.startswith(f"{path}/") for name in self.objects)
        kind = fs.FileType.Directory if is_folder else fs.FileType.NotFound
        return SimpleNamespace(
            path=path,
            base_name=posixpath.basename(path),
            type=kind if data is None else fs.FileType.File,
            size=None if data is None else len(data),
        )


class Upload:
    def __init__(self, store: Store, path: str) -> None:
        self.store, self.path, self.data = store, path, b""

    def __enter__(self) -> "Upload":
        return self

    def write(self, data: bytes) -> None:
        self.data += bytes(data)

    def __exit__(self, *error: object) -> None:
        self.store.world.operation("put")
        self.store.put(self.path, self.data)


class Download:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __enter__(self) -> "Download":
        return self

    def read(self) -> bytes:
        return self.data

    def __exit__(self, *error: object) -> None:
        pass

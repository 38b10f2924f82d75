"""Find the files in an object store that match a pattern, by as few listings as possible."""

from collections.abc import Iterator

from pyarrow import fs

from pipeline.input.found_files import FoundFiles, InputFile
from pipeline.input.passed_over import PassedOver, is_notable_file, is_notable_folder
from pipeline.input.path_patterns import PathPattern


def walk_store(filesystem: fs.FileSystem, root: str, pattern: PathPattern) -> FoundFiles:
    """The files below a folder that match a pattern. Raises what the file system raises."""
    files: list[InputFile] = []
    names: dict[str, None] = {}
    for info in _infos(filesystem, root, pattern):
        relative = info.path.removeprefix(f"{root}/")
        *folders, name = relative.split("/")
        states, path = pattern.start, root
        for folder in folders:
            path = f"{path}/{folder}"
            if is_notable_folder(pattern, states, folder):
                names[f"{path}/"] = None
            states = pattern.below(states, folder)
        if pattern.selects(states, name):
            files.append(InputFile(info.path, relative, info.path, info.mtime_ns))
        elif is_notable_file(pattern, states, name):
            names[info.path] = None
    return FoundFiles(files, PassedOver(tuple(names)))


def _infos(filesystem: fs.FileSystem, root: str, pattern: PathPattern) -> Iterator[fs.FileInfo]:
    """The files that the pattern may match, hidden ones included."""
    is_deep = len(pattern.parts) != 1
    for info in filesystem.get_file_info(fs.FileSelector(root, recursive=is_deep)):
        if info.type == fs.FileType.File:
            yield info
        elif not is_deep and pattern.below(pattern.start, info.base_name.lstrip("_.")):
            inner = filesystem.get_file_info(fs.FileSelector(info.path, recursive=True))
            yield from (found for found in inner if found.type == fs.FileType.File)

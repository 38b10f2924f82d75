"""Read the footer of a Parquet file: its metadata, and a digest that identifies the file's version."""

import base64
import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays.column_types import hide_extension_names, holds_extension_names
from pipeline.errors import UnreadableFileError
from pipeline.input.encryption import encrypted_leaves

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
_TAIL_BYTES = 64 * 1024
_FRAME_BYTES = 8  # length of the footer (little endian, 4 bytes) and magic
_MIN_FILE_BYTES = len(_MAGIC) + _FRAME_BYTES
_SCHEMA_KEY, _OTHER_KEY = b"ARROW:schema", b"ARROW:hidden"


@dataclass(frozen=True)
class Footer:
    """The metadata of one file.

    `version` is a digest of the file's size and footer, which has offset, size and statistics of each column
    chunk. `encrypted_leaves`: indices of leaf columns whose metadata must not be accessed. `content` is the
    serialized metadata.
    """

    metadata: pq.FileMetaData
    version: str
    file_size: int
    content: bytes
    encrypted_leaves: frozenset[int] = frozenset()

    @property
    def data_end(self) -> int:
        """Where the column chunks end, or before."""
        return self.file_size - len(self.content) - _FRAME_BYTES


def read_footer(file: pa.NativeFile) -> Footer:
    """Read the footer of an open file, by one request if it is under 64 KiB.

    Raises UnreadableFileError if the file is truncated, not Parquet, damaged, encrypted as a whole, or has a type
    that Arrow does not support.
    """
    file_size = file.size()
    if file_size < _MIN_FILE_BYTES:
        raise UnreadableFileError(f"no Parquet file: {file_size} bytes, expected 12 or more")
    tail = file.read_at(min(file_size, _TAIL_BYTES), max(0, file_size - _TAIL_BYTES))
    if tail[-4:] == _ENCRYPTED_MAGIC:
        raise UnreadableFileError("its footer is encrypted, expected a plain one; decrypt the file")
    if tail[-4:] != _MAGIC:
        raise UnreadableFileError("no Parquet file, or cut short: it does not end with PAR1")
    footer_size = int.from_bytes(tail[-8:-4], "little")
    if footer_size + _MIN_FILE_BYTES > file_size:
        raise UnreadableFileError(f"damaged: a footer of {footer_size} bytes in a file of {file_size}")
    needed = footer_size + _FRAME_BYTES
    if needed > len(tail):
        tail = file.read_at(needed, file_size - needed)
    footer = tail[-needed:]
    digest = hashlib.sha256(file_size.to_bytes(8, "little") + footer).hexdigest()
    metadata = _parsed(footer)
    # If columns are encrypted, a signature follows the metadata.
    is_signed = metadata.serialized_size < footer_size
    encrypted = encrypted_leaves(footer[:footer_size]) if is_signed else frozenset()
    return Footer(metadata, digest[:16], file_size, footer[:footer_size], encrypted)


def version_mark(file: pa.NativeFile, mtime_ns: int | None) -> str:
    """The ETag of an open file, else its modification time.

    They detect changes that the footer may not show, such as a value replaced by one of the same size.
    """
    for name, value in file.metadata().items():
        text = (name.decode() if isinstance(name, bytes) else name).lower()
        if text == "etag":
            return f"etag:{value.decode() if isinstance(value, bytes) else value}"
    return "" if mtime_ns is None else f"mtime_ns:{mtime_ns}"


def _parsed(footer: bytes) -> pq.FileMetaData:
    """Raises UnreadableFileError if Arrow cannot parse the metadata, or the Arrow schema in it."""
    try:
        if not holds_extension_names(footer):
            return _read_metadata(footer)
        metadata = _read_metadata(footer.replace(_SCHEMA_KEY, _OTHER_KEY))
        schema = (metadata.metadata or {}).get(_OTHER_KEY, b"")
        hidden = base64.b64encode(hide_extension_names(base64.b64decode(schema)))
        return _read_metadata(footer.replace(schema, hidden)) if len(hidden) == len(schema) > 0 else metadata
    except Exception as error:  # Arrow raises errors of many types
        reason = str(error).partition("\n")[0]
    try:
        _read_metadata(footer.replace(_SCHEMA_KEY, _OTHER_KEY))
    except Exception:
        raise UnreadableFileError(f"damaged footer: {reason}") from None
    raise UnreadableFileError(
        f"a column has an Arrow type that pyarrow {pa.__version__} cannot read: {reason}; write the file with "
        "another type, or without this column"
    )


def _read_metadata(footer: bytes) -> pq.FileMetaData:
    return pq.read_metadata(pa.BufferReader(_MAGIC + footer))

"""Find the encrypted columns of a Parquet file with a plaintext footer.

Arrow aborts the process when it accesses the metadata of such a column, so the footer is parsed here: the Thrift
struct FileMetaData (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift) in the
compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from typing import Any

_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA = 4, 1, 8  # of FileMetaData, RowGroup, ColumnChunk

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def encrypted_leaves(footer: bytes) -> frozenset[int]:
    """Indices of the leaf columns that are encrypted in some row group, from a valid footer."""
    metadata = _Compact(footer).struct()
    return frozenset(
        leaf
        for group in metadata.get(_ROW_GROUPS, [])
        for leaf, chunk in enumerate(group[_COLUMNS])
        if _CRYPTO_METADATA in chunk
    )


class _Compact:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> dict[int, Any]:
        """The fields of a struct by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            step, type_ = divmod(header, 16)
            number = number + step if step else self._zigzag()
            fields[number] = type_ == _TRUE if type_ in (_TRUE, _FALSE) else self._value(type_)
        return fields

    def _value(self, type_: int) -> Any:
        if type_ == _STRUCT:
            return self.struct()
        if type_ in (_LIST, _SET):
            size, item_type = divmod(self._byte(), 16)
            return [self._value(item_type) for _ in range(self._varint() if size == 15 else size)]
        if type_ == _MAP:
            size = self._varint()
            key_type, item_type = divmod(self._byte(), 16) if size else (0, 0)
            return [(self._value(key_type), self._value(item_type)) for _ in range(size)]
        if type_ == _BINARY:
            return self._bytes(self._varint())
        if type_ == _DOUBLE:
            return self._bytes(8)
        return self._byte() if type_ in (_TRUE, _FALSE, _BYTE) else self._zigzag()

    def _bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

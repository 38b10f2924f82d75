"""Read structs of Thrift's compact protocol, in which Parquet's footers and page headers are written.

The protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def read_struct(data: bytes, start: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends.

    Raises IndexError or RecursionError if the data are no struct.
    """
    reader = _Compact(data, start)
    return reader.struct(), reader.at


class _Compact:
    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self.at = start

    def struct(self) -> dict[int, Any]:
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
        self.at += size
        return self._data[self.at - size : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

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

"""Parquet files whose footers or pages are damaged on purpose."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def footer_start(data: bytes) -> int:
    """Where the footer of a file begins."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def flip_footer_bit(path: Path, byte: int, bit: int = 0) -> None:
    """Flip one bit of a footer."""
    data = bytearray(path.read_bytes())
    data[footer_start(data) + byte] ^= 1 << bit
    path.write_bytes(data)


def replace_in_footer(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in a footer, whose length is set anew."""
    data = path.read_bytes()
    footer = data[footer_start(data) : -8]
    assert old in footer
    footer = footer.replace(old, new)
    path.write_bytes(data[: footer_start(data)] + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def zigzag(number: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    number, encoded = number << 1, b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def write_with_claim(path: Path, table: pa.Table, num_rows: int) -> None:
    """Write a table, and let the footer claim another number of rows."""
    pq.write_table(table, path, write_statistics=False, compression="none")
    replace_in_footer(path, zigzag(table.num_rows), zigzag(num_rows))

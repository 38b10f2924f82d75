import os

import pytest

from pipeline.storage.printable import is_utf8, printable


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"plain [x] \xe9\x95\xb7\xe3\x80\x80.parquet", "plain [x] 長\u3000.parquet"),
        (b"caf\xe9.parquet", "caf\\xe9.parquet"),
        (b"a\nb\x1b[31m\x7f", "a\\nb\\x1b[31m\\x7f"),
        ("a\u2028b\x85".encode(), "a\\u2028b\\x85"),
    ],
)
def test_names_in_one_line(name: bytes, expected: str) -> None:
    assert printable(os.fsdecode(name)) == expected
    assert is_utf8(os.fsdecode(name)) == (b"\xe9.p" not in name)
    printable(os.fsdecode(name)).encode()

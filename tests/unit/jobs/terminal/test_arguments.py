from argparse import ArgumentTypeError

import pytest

from jobs.terminal.arguments import utf8_text


def test_text_is_the_utf8_of_the_shell() -> None:
    assert utf8_text("a=ä") == "a=ä"
    assert utf8_text(b"a=\xc3\xa4".decode("ascii", "surrogateescape")) == "a=ä"


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="expected UTF-8, found other bytes from 2 on"):
        utf8_text(b"a=\xe4".decode("utf-8", "surrogateescape"))

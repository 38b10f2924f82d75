"""TCP sockets on which processes listen, as /proc shows them."""

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from tests.integration.processes import descendants

_LISTENING = "0A"


def listening_addresses(pid: int) -> set[str]:
    """The addresses, without ports, on which this process and those below it listen."""
    sockets = {link[8:-1] for link in _links(pid) if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and fields[9] in sockets:
                found.add(_address(fields[1].split(":")[0]))
    return found


def _links(pid: int) -> set[str]:
    links = set()
    for process in [pid, *(process.pid for process in descendants(pid))]:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                with suppress(OSError):
                    links.add(os.readlink(descriptor))
    return links


def _address(text: str) -> str:
    """An address of /proc/net: words of four bytes in the order of this machine."""
    words = [int(text[begin : begin + 8], 16) for begin in range(0, len(text), 8)]
    data = struct.pack(f"={len(words)}I", *words)
    address = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, data)
    return address.removeprefix("::ffff:")

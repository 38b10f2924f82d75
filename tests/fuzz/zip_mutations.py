"""Mutations of the zip archives that `torch.save` writes: of members, headers and pickles."""

import io
import pickletools
import random
import zipfile

from tests.fuzz.mutations import damaged


def damaged_archive(rng: random.Random, content: bytes) -> bytes:
    """An archive of `torch.save` with damage anywhere, in its directory, in its pickle, or in its members."""
    kind = rng.choice(("bytes", "directory", "pickle", "pickle", "pickle", "members"))
    if kind == "bytes":
        return damaged(rng, content)
    if kind == "directory":
        begin = content.rfind(b"PK\x01\x02", 0, content.rfind(b"PK\x05\x06")) - 200
        return damaged(rng, content, lambda: rng.randrange(max(0, begin), len(content)))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [pickled] = [name for name in members if name.endswith("data.pkl")]
    if kind == "pickle":
        members[pickled] = damaged_pickle(rng, members[pickled])
    else:
        _change_members(rng, members)
    return _written(members, rng.choice((zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,)))


def damaged_pickle(rng: random.Random, content: bytes) -> bytes:
    """A pickle with damage anywhere, or with another argument of one of its opcodes."""
    if rng.random() < 0.3:
        return damaged(rng, content)
    opcodes = [(opcode, at) for opcode, argument, at in pickletools.genops(content) if argument is not None and at]
    opcode, at = rng.choice(opcodes)
    size = rng.choice((1, 1, 2, 4))
    if opcode.name in ("BININT", "BININT1", "BININT2"):
        size = {"BININT": 4, "BININT1": 1, "BININT2": 2}[opcode.name]
    data = bytearray(content)
    data[at + 1 : at + 1 + size] = (
        rng.randbytes(size) if rng.random() < 0.5 else rng.choice((b"\xff", b"\0", b"\x7f")) * size
    )
    return bytes(data)


def _change_members(rng: random.Random, members: dict[str, bytes]) -> None:
    name = rng.choice(list(members))
    kind = rng.choice(("drop", "empty", "shorter", "longer", "bomb", "rename"))
    if kind == "bomb":
        members[name] = members[name] + bytes(rng.choice((2**16, 2**24)))
    elif kind == "rename":
        members[rng.choice((f"../{name}", "/etc/passwd", name.upper(), "archive/version"))] = members.pop(name)
    elif kind == "drop":
        del members[name]
    else:
        members[name] = {"empty": b"", "shorter": members[name][:-4], "longer": members[name] + b"1234"}[kind]


def _written(members: dict[str, bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()

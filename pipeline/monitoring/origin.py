"""Where something happened in a run: the fragment, the number of its attempt, and the node."""

from dataclasses import asdict, dataclass

from pipeline.storage.printable import printable


@dataclass(frozen=True)
class Origin:
    """A fragment, by the path of its part; the number of its attempt, from 1; the address of the node.

    None where it is not known, or does not apply. `str` gives what is known.
    """

    fragment: str | None = None
    attempt: int | None = None
    node: str | None = None

    def known(self) -> dict[str, str | int]:
        """The fields that are known, by name, for printing."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.known().items())

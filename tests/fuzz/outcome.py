"""What may come of a mutated file, and the errors that count as named."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# Messages are for a person: nothing of a file is repeated at length.
MAX_MESSAGE_CHARS = 4000


class Refused(Exception):  # noqa: N818  # an outcome, not a fault
    """The file was refused with an error that names it or one of its fields."""


@contextmanager
def refusals(*names: object, errors: type[Exception] | tuple[type[Exception], ...] = ValueError) -> Iterator[None]:
    """Turn an error of these types whose message holds one of `names` into Refused; others are faults."""
    try:
        yield
    except errors as error:
        if not names_one_of(str(error), map(str, names)):
            raise AssertionError(f"names neither file nor field: {type(error).__name__}: {error}") from error
        raise Refused(str(error)) from error


def names_one_of(message: str, names: Iterable[str]) -> bool:
    """Whether a message is short enough to read, and holds one of `names`."""
    return len(message) <= MAX_MESSAGE_CHARS and any(name in message for name in names)

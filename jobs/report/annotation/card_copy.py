"""Copy the parts of an output to a folder of their own, with the card as `README.md`, as the hub wants it."""

from pathlib import Path

from jobs.report.annotation.figures import parts_of
from pipeline.errors import ConfigError, InputError
from pipeline.output.card import CARD
from pipeline.output.output_folder import SUCCESS, OutputFolder
from pipeline.storage.printable import number_of


def copy_with_card(folder: OutputFolder, target: Path) -> str:
    """Copy a complete output; returns what was done.

    Raises InputError if it is not complete or has no card, ConfigError if the target is not empty or cannot be
    written.
    """
    card = folder.read(CARD)
    if card is None or folder.read(SUCCESS) is None:
        raise InputError(
            f"OUTPUT: {folder.root} has no card or is not complete, expected a complete output that was begun by "
            "this version; finish its run, or make it anew with --restart"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"--card: {target} is not empty, expected a new folder; choose another")
    paths = parts_of(folder)
    try:
        for path in paths:
            data = folder.read(path)
            if data is None:
                raise InputError(f"OUTPUT: {path} is gone, expected it to stay while it is copied; run this again")
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
        target.mkdir(parents=True, exist_ok=True)
        (target / "README.md").write_bytes(card)
    except OSError as error:
        raise ConfigError(f"--card: {target} cannot be written: {error.strerror}; choose another") from None
    return f"copied: {number_of(len(paths), 'part')} and README.md to {target}"

"""The exception that every reader of checkpoint files raises."""


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or does not fit the model; the message names file and tensor."""

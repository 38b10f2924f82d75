"""The command that compares two outputs of the same input, column by column."""

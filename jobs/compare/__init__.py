"""The command that tells how two outputs of the same input differ, column by column."""
